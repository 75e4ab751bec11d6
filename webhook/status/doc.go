// Package status serves a page for people: which Services sleep, which are awake and why, wakes over time, and what did not
// run meanwhile.
//
//	wakes := status.NewWakes(time.Now)
//	informer.AddEventHandler(wakes) // of the targets' Leases
//	source := &status.Source{Read: func(ctx context.Context) ([]*view.Namespace, error) { return reader.Read(ctx, "") }}
//	http.ListenAndServe("127.0.0.1:8082", status.NewHandler(source, wakes))
//
// It says what package view says, in the same words as kubectl tpa, and changes nothing. It asks nobody who they are: it is
// to be reached through a loopback address only (CheckAddress), that is with kubectl port-forward, which asks.
//
// The page is rendered here, by html/template, and is whole without JavaScript; its script fetches it anew and takes over
// what has changed, so that there is one implementation of what it looks like. For programs there is /status.json.
package status
