package client

import (
	"context"

	"github.com/getcd/getcd/internal/attempt"
)

// WithIdempotentWrites returns a context with which the caller declares that its Puts and
// Deletes may be applied more than once, at any time: a Put of a value that is true however often
// it is written, such as one's own address, or a Delete of what nobody will make again. Such a
// write is sent again, as a read is: when its answer is lost, or, unless it is larger than 64 KiB,
// has not come after 100 ms. It ends when it is answered, or with its context.
//
//	_, err := c.Put(client.WithIdempotentWrites(ctx), "hosts/a", "10.0.0.1:80")
//
// What the caller risks: a copy that was thought lost may be applied after the call has
// returned, seconds or, on a member that was stopped, hours later. It then overwrites what
// others, or the caller itself, have written in the meantime. Watchers may see two events, the
// key's version may grow by two, a previous value may be the write's own, and a count of deleted
// keys may be 0. A program for which that is not right uses package once, which
// costs a little more and has none of these effects.
//
// IsAmbiguous is true only of a write whose context has ended, or whose client was closed,
// after a copy was sent, and of one that the server answers with "database space exceeded".
// Transactions are not affected, since a copy would be refused because of another one's success;
// nor is any other request. Do not hand the context to a lock or an election: it deletes keys
// that may be made again. On a connection that is not a client's it has no effect.
func WithIdempotentWrites(ctx context.Context) context.Context {
	if ctx == nil {
		return nil // the call's to complain of
	}
	a := &attempt.Attempt{Repeat: true}
	if outer := attempt.FromContext(ctx); outer != nil {
		a.Avoid, a.OwnID, a.Final = outer.Avoid, outer.OwnID, outer.Final
	}
	return attempt.NewContext(ctx, a)
}
