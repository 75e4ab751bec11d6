// Package services runs the managed Services of one namespace: it watches Services, Pods and Leases, and keeps for each
// Service a front (the data path) and for each target a keeper (sleep and wake).
//
// What should be is a pure function of what is watched: see Plan. The Manager makes it so, again after every change, and
// tells the controller what it listens on through the proxy pod's Lease, and people what to do about a Service that
// does not work as they would expect through Events on it.
//
// Bytes do not pass through here, and neither does the decision to sleep: see packages front and sleep.
package services
