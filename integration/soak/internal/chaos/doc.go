// Package chaos does random faults to a cluster: one after the other, with healthy
// times between them, as a seed says.
//
//	events, err := chaos.Run(ctx, c, chaos.Config{Seed: 1})
//
// What is done, and for how long, depends on the seed alone. Which member it is done
// to depends on the cluster too, since leaders are drawn as often as followers and
// who leads is the cluster's business. Run ends with its context and leaves the
// cluster as it was: every member runs, every link is whole.
package chaos
