package load

import "time"

// Kind is what a Job does.
type Kind string

const (
	// Bulk receives from Conns streams as fast as they come. Its unit is a byte.
	Bulk Kind = "bulk"
	// RoundTrip exchanges a message over one connection, again and again. Its unit is a round trip.
	RoundTrip Kind = "round-trip"
	// Connect connects, exchanges a message and closes, again and again. Its unit is a connection.
	Connect Kind = "connect"
	// Saturate exchanges messages over Conns connections as fast as they come back. Its unit is a round trip.
	Saturate Kind = "saturate"
	// Open sends Rate messages a second over Conns connections, at times that follow from Seed, however late the earlier
	// ones come back. Its unit is a round trip, and it reads no CPU times.
	Open Kind = "open"
	// Hold makes Conns connections that are silent after one message, and open until the client ends. Its unit is a
	// connection, and it reads no CPU times.
	Hold Kind = "hold"
	// Answers opens Conns connections, AtOnce at a time, sends a message over each, and waits until all have come back. Its
	// unit is an answer. It knows neither Warm nor For.
	Answers Kind = "answers"
)

// Job is an order to the client.
type Job struct {
	Kind    Kind
	Address string
	// Conns is how many connections are used at once, where the Kind leaves that open.
	Conns int
	// AtOnce is how many connects are under way at once.
	AtOnce int
	Rate   float64
	Seed   uint64
	// Warm is how long it goes on before it counts, For how long it counts.
	Warm, For time.Duration
	// Proxy and Server are the processes whose CPU time is read when counting begins and ends.
	Proxy, Server []int
}

// Result is what the client found.
type Result struct {
	// Error is empty if all went well; nothing else is set if not.
	Error string `json:",omitempty"`
	// Units were done in Wall time.
	Units float64
	Wall  time.Duration
	// Ended is when the last answer came. Lost connections brought none.
	Ended time.Time
	Lost  float64
	// Proxy is the proxy's CPU time, All that of the proxy, the server and the client.
	Proxy, All time.Duration
	// Latency is that of round trips, from when they were due.
	Latency Latency
}
