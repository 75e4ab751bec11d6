// Package kit is what the end-to-end tests and the demo share: a connection to the cluster, clients that call from
// inside any node, apps that sleep, and ways to wait for what happens and to tell it exactly.
//
//	c, err := kit.Connect(ctx)
//	web := kit.App{Name: "web", Namespace: "shop", Replicas: 3}
//	err = c.Create(ctx, web.Deployment())
//	err = c.Create(ctx, web.Service(map[string]string{contract.TargetKey: "web"}))
//	load := kit.StartLoad(ctx, kit.Load{From: c.Nodes[1], Address: "198.18.0.7:80", Clients: 4})
//	...
//	fmt.Println(load.Stop()) // 1200 ok, 0 failed
//
// A client that retries in secret, as net/http's does, would hide what TPA must not do; these do not.
//
// It needs the cluster of test/cluster, whose nodes are network namespaces of this machine, and root.
package kit
