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

// bound sets the bounds while that many ports are open. Of the connections, three quarters may be held, so that those who wait
// for targets leave some for the targets that are awake.
func (m *Manager) bound(ports int) {
	n := m.options.connections(ports)
	m.conns.SetMax(n)
	m.budget.SetMax(max(1, min(m.options.MaxHeld, n*3/4)))
}
