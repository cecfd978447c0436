// Package chaos applies random faults to a cluster, one after another, with
// healthy times between them. A seed determines them.
//
//	events, err := chaos.Run(ctx, c, chaos.Config{Seed: 1})
//
// The faults and their durations depend only on the seed. The affected member
// also depends on the cluster: a draw selects the leader or a follower, and the
// cluster decides which member leads. Run ends with its context and leaves the
// cluster as it was: every member runs, and no link has a fault.
package chaos
