// Package view works out what a person is told about Services: from objects as they were read, without asking anybody. The
// words of kubectl tpa and of the status page are its.
//
//	for _, s := range namespace.List() {
//		fmt.Println(s.Name, s.State, s.Reason)
//	}
//	explanation, found := namespace.Explain("web")
//
// What keeps a target awake, which Services share it and which settings apply is what the proxies plan by: it is asked of
// packages proxy/services, proxy/sleep and proxy/contract, and not worked out a second time. It stands beside the controller and
// not among the proxies' packages, which it imports: those import nothing of the webhook's.
package view
