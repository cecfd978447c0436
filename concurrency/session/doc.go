// Package session keeps a lease alive for as long as a program, or a part of it,
// takes part in something: what it has put on the cluster with the lease goes when
// it does, whether it leaves or dies.
//
//	s, err := session.New(ctx, c) // c is a client, or a lease.Lease
//	defer s.Close(ctx)
//	_, err = c.Put(ctx, "members/host-1", addr, kv.WithLease(s.ID()))
//	select {
//	case <-work():
//	case <-s.Done(): // stop: the keys may be gone from now on
//		return s.Err()
//	}
//
// # When a session ends
//
// Done closes when the lease can no longer be proven to live, and before the
// cluster can let it expire; package lease tells how that is known, and what no
// clock can know. Err then says why, as it does when the lease was revoked, or the
// session closed. A session that has ended does not come back: who wants to go on
// makes another, and puts again what it had.
//
// Close revokes the lease, and its keys are gone when it returns. Orphan only stops
// renewing it: the keys stay until its time to live has passed, or for as long as
// somebody else renews it (WithLease).
//
// A Session is what package election calls one, and what the recipes take.
package session
