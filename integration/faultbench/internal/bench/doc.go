// Package bench applies faults to a real etcd cluster while several clients work
// on it side by side, and measures how each client is affected.
//
//	report, err := bench.Run(ctx, bench.Config{Clients: []string{"getcd"}, Faults: []string{"kill"}})
//
// All clients work at the same time, so that each fault hits all of them at the
// same instant. The victim is the member that getcd uses at that moment; a client
// that spreads its calls over all members loses a third of them to any victim.
//
// # Where things are
//
//   - a client: clients.go, behind the interface Client
//   - a kind of call: kinds.go; long calls, such as watches: lasting.go
//   - a fault: faults.go; continuing faults: ongoing.go; random faults:
//     random.go; members that come and go: members.go
//   - the choice of the victim: victim.go
//   - one fault from warm-up to result: cell.go; all of them: run.go
package bench
