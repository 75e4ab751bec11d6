package view

import (
	"cmp"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// columns are what a table of Services has; those with a priority are only in the wide one.
var columns = []struct {
	name     string
	priority int32
	text     func(Service) string
}{
	{"Service", 0, func(s Service) string { return s.Name }},
	{"Target", 0, func(s Service) string { return cmp.Or(s.TargetNames(), none) }},
	{"State", 0, Service.stateText},
	{"Ready", 0, Service.readyText},
	{"Connections", 0, Service.connectionsText},
	{"Idle for", 0, Service.idleText},
	{"Sleeps in", 0, Service.sleepsText},
	{"Wakes", 0, Service.wakesText},
	{"Last wake", 0, Service.lastWakeText},
	{"Sleeps", 1, Service.sleepCount},
	{"Asleep for", 1, Service.asleepText},
	{"Observed", 1, Service.observedText},
	{"Idle-timeout", 1, func(s Service) string { return span(s.IdleTimeout) }},
	{"Proxies", 1, Service.proxiesText},
	{"Reason", 1, func(s Service) string { return cmp.Or(s.Reason, none) }},
}

// Table is how Services stand, as kubectl prints it.
func Table(services []Service) *metav1.Table {
	table := &metav1.Table{}
	for _, c := range columns {
		table.ColumnDefinitions = append(table.ColumnDefinitions, metav1.TableColumnDefinition{
			Name: c.name, Type: "string", Priority: c.priority,
		})
	}
	for _, s := range services {
		row := metav1.TableRow{Object: runtime.RawExtension{Object: &metav1.PartialObjectMetadata{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
			ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: s.Name},
		}}}
		for _, c := range columns {
			row.Cells = append(row.Cells, c.text(s))
		}
		table.Rows = append(table.Rows, row)
	}
	return table
}

// Same reports whether two looks at one Service differ in nothing but the time that has gone by.
func (s Service) Same(other Service) bool {
	wakes := func(s Service) [2]string {
		if s.History == nil || s.History.LastWake == nil {
			return [2]string{s.wakesText()}
		}
		return [2]string{s.wakesText(), outcome(*s.History.LastWake)}
	}
	return s.State == other.State && s.Reason == other.Reason && s.TargetNames() == other.TargetNames() &&
		s.readyText() == other.readyText() && s.connectionsText() == other.connectionsText() && s.Keeps == other.Keeps &&
		s.Used == other.Used && s.IdleSince.Equal(other.IdleSince) && s.SleepsAt.Equal(other.SleepsAt) && s.WouldSince.Equal(other.WouldSince) &&
		wakes(s) == wakes(other) && s.proxiesText() == other.proxiesText()
}

// Find returns the Service of a name.
func Find(services []Service, name string) (Service, bool) {
	i := slices.IndexFunc(services, func(s Service) bool { return s.Name == name })
	if i < 0 {
		return Service{}, false
	}
	return services[i], true
}
