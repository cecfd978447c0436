package client

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/metadata"

	"github.com/getcd/getcd/internal/backoff"
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
	// callers is set for the token in a caller's own metadata, which only the caller can replace.
	callers bool
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
// a token, one login is under way.
type authenticator struct {
	// Read-only after newAuthenticator.
	login  func(context.Context) (token string, err error) // nil: the token is fixed
	varies bool                                            // another login may end differently
	logger *slog.Logger
	ctx    context.Context //nolint:containedctx // the lifecycle of the logins: from New to Close
	cancel context.CancelFunc

	current atomic.Pointer[credential] // nil while there is none

	mu       sync.Mutex
	flight   *flight // guarded by mu: the login under way, if any
	proven   bool    // guarded by mu: a login has succeeded
	failures int     // guarded by mu: logins since then that have failed
	failed   error   // guarded by mu: the last of them
	logged   string  // guarded by mu: what was logged last
	wg       sync.WaitGroup
}

// flight is one login and those who wait for it.
type flight struct {
	done chan struct{} // closed when the rest is set
	cred *credential
	err  error
	// again is set when another login may end differently.
	again bool
	// before is why the login before this one has failed, if it has; set from the beginning.
	before error
}

// fixedToken returns an authenticator that always has the same token.
func fixedToken(token string) *authenticator {
	a := newAuthenticator(nil, false, nil)
	a.current.Store(newCredential(token))
	return a
}

// newAuthenticator returns an authenticator that gets its tokens from login. varies says
// that login uses something that changes by itself, such as a password that is rotated.
func newAuthenticator(login func(context.Context) (string, error), varies bool, logger *slog.Logger) *authenticator {
	a := &authenticator{login: login, varies: varies, logger: logger}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	return a
}

// close ends a login under way and waits for it.
func (a *authenticator) close() {
	a.cancel()
	a.mu.Lock()   // no login starts after this: get looks at ctx under mu
	a.mu.Unlock() //nolint:staticcheck // SA2001: the empty section is the point
	a.wg.Wait()
}

// get returns the token in use, or waits for a new one. again says of an error that
// another call may end differently.
func (a *authenticator) get(ctx context.Context) (_ *credential, again bool, _ error) {
	if c := a.current.Load(); c != nil {
		return c, false, nil
	}
	a.mu.Lock()
	if c := a.current.Load(); c != nil {
		a.mu.Unlock()
		return c, false, nil
	}
	if a.ctx.Err() != nil {
		a.mu.Unlock()
		return nil, false, ErrClosed
	}
	f := a.flight
	if f == nil {
		f = &flight{done: make(chan struct{}), before: a.failed}
		a.flight = f
		pause := time.Duration(0)
		if a.failures > 0 {
			pause = loginPauses.Pause(a.failures - 1)
		}
		a.wg.Go(func() { a.fly(f, pause) })
	}
	a.mu.Unlock()
	select {
	case <-f.done:
		return f.cred, f.again, f.err
	case <-ctx.Done():
		if f.before != nil {
			return nil, false, waitedError{ctx.Err(), f.before} // it had no time for a login of its own
		}
		return nil, false, ctx.Err()
	}
}

// sign returns ctx with the token in use, and reports whether there is one.
func (a *authenticator) sign(ctx context.Context) (context.Context, bool) {
	c := a.current.Load()
	if c == nil || len(c.anyMember) == 0 {
		return ctx, false
	}
	return c.outgoing(ctx, true), true
}

// loginPauses are the pauses between logins that fail although there has been a good one.
// They are long: the check of a password costs the server more than most requests.
var loginPauses = backoff.Exponential{First: 100 * time.Millisecond, Max: 5 * time.Second}

func (a *authenticator) fly(f *flight, pause time.Duration) {
	token, err := "", ErrClosed
	if backoff.Sleep(a.ctx, pause) {
		token, err = a.login(a.ctx)
	}
	disabled := errors.Is(err, rpctypes.ErrAuthNotEnabled)
	if disabled {
		// A user is configured for the day when authentication is switched on;
		// until then the server wants no token.
		token, err = "", nil
	}
	if err != nil && a.ctx.Err() != nil {
		err = ErrClosed // the login's own error need not say so
	}
	if err == nil {
		f.cred = newCredential(token)
	}
	f.err = err
	a.mu.Lock()
	defer a.mu.Unlock()
	// Credentials that have never been right are a mistake, which the caller should learn
	// at once. Those that have been are being changed: they will be right again.
	f.again = err != nil && a.varies && a.proven && !errors.Is(err, ErrClosed)
	switch {
	case err == nil:
		a.proven = a.proven || !disabled
		a.failures, a.failed, a.logged = 0, nil, ""
	case f.again:
		a.failures++
		a.failed = err
		if s := err.Error(); s != a.logged {
			a.logged = s
			a.logger.Warn("etcd: the client can't log in; it tries again while calls wait", "cause", err)
		}
	}
	a.current.Store(f.cred)
	a.flight = nil
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
