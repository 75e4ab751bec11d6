// Package view works out what a person is told about Services: from objects as they were read, without asking anybody.
//
//	for _, s := range namespace.Services() {
//		fmt.Println(s.Name, s.State, s.Reason)
//	}
//	explanation, found := namespace.Explain("web")
//
// What keeps a target awake, which Services share it and which settings apply is what the proxies plan by: it is asked of
// packages proxy/services, proxy/sleep and proxy/contract, and not worked out a second time.
package view
