package client

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/metadata"
)

// credential is a token and the request metadata made of it. It is immutable
// and shared by all calls that use the token.
type credential struct {
	withLeader metadata.MD // for requests that must reach a member with a leader
	anyMember  metadata.MD
	// contexts that have only these
	toLeader, toAny context.Context //nolint:containedctx // values, without an end
	// signed is set for a JWT (RFC 7519), which says itself to which revision of
	// users and roles it belongs; etcd's simple tokens have one dot.
	signed bool
}

func newCredential(token string) *credential {
	c := &credential{withLeader: metadata.MD{}, anyMember: metadata.MD{}, signed: strings.Count(token, ".") == 2}
	c.withLeader.Set(rpctypes.MetadataRequireLeaderKey, rpctypes.MetadataHasLeader)
	if token != "" {
		c.withLeader.Set(rpctypes.TokenFieldNameGRPC, token)
		c.anyMember.Set(rpctypes.TokenFieldNameGRPC, token)
	}
	c.toLeader = metadata.NewOutgoingContext(context.Background(), c.withLeader)
	c.toAny = metadata.NewOutgoingContext(context.Background(), c.anyMember)
	return c
}

// outgoing returns ctx with the request's metadata. Metadata that the caller has
// put there is kept, and wins where it has the same keys.
func (c *credential) outgoing(ctx context.Context, anyMember bool) context.Context {
	ours := c.withLeader
	if anyMember {
		ours = c.anyMember
	}
	theirs, ok := metadata.FromOutgoingContext(ctx)
	if !ok {
		return metadata.NewOutgoingContext(ctx, ours)
	}
	for k, v := range ours {
		if len(theirs.Get(k)) == 0 {
			theirs.Set(k, v...)
		}
	}
	return metadata.NewOutgoingContext(ctx, theirs)
}

// authenticator holds the token that requests carry. However many requests want
// a token, one Authenticate is under way.
type authenticator struct {
	// Read-only after newAuthenticator.
	login  func(context.Context) (token string, err error) // nil: the token is fixed
	ctx    context.Context                                 //nolint:containedctx // the lifecycle of the logins: from New to Close
	cancel context.CancelFunc

	current atomic.Pointer[credential] // nil while there is none

	mu     sync.Mutex
	flight *flight // the login under way, if any
	wg     sync.WaitGroup
}

// flight is one login and those who wait for it.
type flight struct {
	done chan struct{} // closed when cred and err are set
	cred *credential
	err  error
}

// newAuthenticator returns an authenticator that gets its tokens from login, or
// that always has token when login is nil.
func newAuthenticator(token string, login func(context.Context) (string, error)) *authenticator {
	a := &authenticator{login: login}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	if login == nil {
		a.current.Store(newCredential(token))
	}
	return a
}

// close ends a login under way and waits for it.
func (a *authenticator) close() {
	a.cancel()
	a.mu.Lock()   // no login starts after this: get looks at ctx under mu
	a.mu.Unlock() //nolint:staticcheck // SA2001: the empty section is the point
	a.wg.Wait()
}

// get returns the token in use, or waits for a new one.
func (a *authenticator) get(ctx context.Context) (*credential, error) {
	if c := a.current.Load(); c != nil {
		return c, nil
	}
	a.mu.Lock()
	if c := a.current.Load(); c != nil {
		a.mu.Unlock()
		return c, nil
	}
	if a.ctx.Err() != nil {
		a.mu.Unlock()
		return nil, ErrClosed
	}
	f := a.flight
	if f == nil {
		f = &flight{done: make(chan struct{})}
		a.flight = f
		a.wg.Go(func() { a.fly(f) })
	}
	a.mu.Unlock()
	select {
	case <-f.done:
		return f.cred, f.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (a *authenticator) fly(f *flight) {
	token, err := a.login(a.ctx)
	if errors.Is(err, rpctypes.ErrAuthNotEnabled) {
		// A user is configured for the day when authentication is switched on;
		// until then the server wants no token.
		token, err = "", nil
	}
	if err == nil {
		f.cred = newCredential(token)
	}
	f.err = err
	a.mu.Lock()
	a.current.Store(f.cred)
	a.flight = nil
	a.mu.Unlock()
	close(f.done)
}

// reject gives up a token that a server has refused, and reports whether
// another can be got. A token that was replaced meanwhile is not given up.
func (a *authenticator) reject(c *credential) bool {
	if a.login == nil {
		return false
	}
	a.current.CompareAndSwap(c, nil)
	return true
}
