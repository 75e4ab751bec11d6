package services

const (
	// ownDescriptors are for what is not a connection of a Service or a port: 64 pipes of package relay, event loops,
	// connections to the API server and of who reads the metrics, and those that are refused at this moment.
	ownDescriptors = 256
	// perConnection is how many a relayed connection takes.
	perConnection = 2
)

// connections is how many there may be at once while that many ports are open. Beyond, a process without descriptors left
// could neither accept nor connect to a backend, nor reach the API server.
func (o Options) connections(ports int) int {
	return max(1, min(o.MaxConnections, (o.Descriptors-ownDescriptors-ports)/perConnection))
}
