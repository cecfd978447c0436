package resolver

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	grpcresolver "google.golang.org/grpc/resolver"
)

const (
	// shortestPause and longestPause are the bounds for the pause after a
	// failure. The pause doubles each time.
	shortestPause = 100 * time.Millisecond
	longestPause  = 5 * time.Second
	// gatherDelay is how long the first answers wait for the others, so that
	// answers that arrive close together give one report with one random order.
	// Otherwise every client would choose the member whose name resolves fastest.
	// RFC 8305, section 3, waits as long for the second address family.
	gatherDelay = 50 * time.Millisecond
)

// endpoint is one endpoint and what is known about it. The watcher's goroutine
// owns all fields except raw, uri and source.
type endpoint struct {
	raw    string // as configured
	uri    string // without credentials
	source Source

	latest   []Address // the last answer that had any
	addrs    []Address // the addresses in use: latest, unless mixed is set
	err      error     // of the last resolution; nil if it was complete
	mixed    error     // why latest must not be used
	logged   string    // the failure that was logged last
	failures int       // consecutive failures
	running  bool
	wanted   bool      // a resolution was requested since the last one started
	ended    time.Time // when the last resolution ended; zero: there was none
	due      time.Time // when the next one starts by itself; zero: never
}

// outcome is the result of one resolution of one endpoint.
type outcome struct {
	endpoint *endpoint
	result   Result
	err      error
}

// watcher is the resolver that Build returns. One goroutine, run, owns everything
// but the channels. It starts a goroutine for each resolution, so that a slow
// endpoint does not delay the others, and waits for all of them before it ends.
type watcher struct {
	r      *Resolver
	cc     grpcresolver.ClientConn
	cancel context.CancelFunc
	now    chan struct{} // capacity 1: ResolveNow
	done   chan struct{} // closed when run has returned
	once   sync.Once

	leaveNames bool // bare host names are left to the dialer

	outcomes chan outcome // run receives until no resolution runs, so that no sender blocks for long

	// Owned by run.

	running  int
	dirty    bool      // an outcome arrived since the last report
	reportAt time.Time // when a report stops waiting for other outcomes
	reported []Address // what cc has accepted; nil: nothing yet
	refused  int       // consecutive reports that cc refused
	cut      bool      // that there were too many addresses was logged
}

func startWatcher(r *Resolver, cc grpcresolver.ClientConn, leaveNames bool) *watcher {
	ctx, cancel := context.WithCancel(context.Background())
	w := &watcher{
		r: r, cc: cc, cancel: cancel, leaveNames: leaveNames,
		now:      make(chan struct{}, 1),
		done:     make(chan struct{}),
		outcomes: make(chan outcome, len(r.endpoints)),
	}
	go w.run(ctx)
	return w
}

// ResolveNow implements gRPC's resolver.Resolver. It does not block. Requests
// that arrive before a resolution starts are merged into one.
func (w *watcher) ResolveNow(grpcresolver.ResolveNowOptions) {
	select {
	case w.now <- struct{}{}:
	default:
	}
}

// Close implements gRPC's resolver.Resolver. It cancels running resolutions and
// returns when every goroutine has ended. It may be called more than once.
func (w *watcher) Close() {
	w.cancel()
	<-w.done
	w.once.Do(w.r.closed)
}

func (w *watcher) run(ctx context.Context) {
	defer close(w.done)
	defer func() {
		for ; w.running > 0; w.running-- {
			o := <-w.outcomes
			o.endpoint.running = false
		}
	}()
	w.replace()
	start := time.Now()
	for _, e := range w.r.endpoints {
		e.due, e.wanted = start, false
		w.dirty = w.dirty || len(e.latest) > 0 // from a former Build
	}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		w.startDue(ctx)
		if w.dirty && (w.running == 0 && w.refused == 0 || !w.reportAt.After(time.Now())) {
			w.report()
		}
		if next := w.next(); next.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(max(1, time.Until(next)))
		}
		select {
		case <-ctx.Done():
			return
		case <-w.now:
			w.want()
		case <-w.r.changed:
			w.replace()
		case o := <-w.outcomes:
			w.finish(o)
		case <-timer.C:
		}
	}
}

// replace adopts SetEndpoints' list. It waits for running resolutions of
// endpoints that are no longer in the list, and ignores their outcomes. If the
// list says whether the client uses TLS, that holds from now on. If it leaves
// this to DNS, the former decision stays, since DNS never turns TLS off.
func (w *watcher) replace() {
	l := w.r.takeNext()
	if l == nil {
		return
	}
	if l.security.security != SecurityUnknown {
		w.r.decided = l.security
	}
	now, next := time.Now(), l.endpoints
	for i, e := range next {
		old := slices.IndexFunc(w.r.endpoints, func(o *endpoint) bool { return o.raw == e.raw })
		if old < 0 {
			e.due = now
			continue
		}
		next[i] = w.r.endpoints[old]
		if a := next[i].addrs; len(a) > 0 && securityOf(a[0].TLS) != w.r.decided.security {
			next[i].addrs = nil // of the decision before
		}
	}
	w.r.endpoints = next
	w.dirty, w.reportAt = true, now.Add(gatherDelay)
}

// want requests a resolution of every endpoint: now, or after the running one, or
// when the minimum interval is over.
func (w *watcher) want() {
	for _, e := range w.r.endpoints {
		if e.running {
			e.wanted = true
		} else {
			w.bringForward(e)
		}
	}
}

// bringForward schedules the next resolution of e as early as the minimum
// interval allows.
func (w *watcher) bringForward(e *endpoint) {
	if at := e.ended.Add(w.r.opts.MinInterval); e.due.IsZero() || at.Before(e.due) {
		e.due = at
	}
}

func (w *watcher) startDue(ctx context.Context) {
	now := time.Now()
	for _, e := range w.r.endpoints {
		if e.running || e.due.IsZero() || e.due.After(now) {
			continue
		}
		e.running, e.wanted = true, false
		w.running++
		w.r.resolutions.Add(1)
		go w.resolve(ctx, e)
	}
}

// resolve runs in its own goroutine and uses only fields that New has set.
func (w *watcher) resolve(ctx context.Context, e *endpoint) {
	cause := fmt.Errorf("no answer within %v: %w", w.r.opts.Timeout, context.DeadlineExceeded)
	ctx, cancel := context.WithTimeoutCause(ctx, w.r.opts.Timeout, cause)
	defer cancel()
	if s, ok := e.source.(*hostSource); ok && w.leaveNames {
		w.outcomes <- outcome{e, s.unresolved(), nil}
		return
	}
	res, err := e.source.Resolve(ctx)
	w.outcomes <- outcome{e, res, err}
}

// finish processes the outcome of a resolution.
func (w *watcher) finish(o outcome) {
	now := time.Now()
	e := o.endpoint
	w.running--
	e.running, e.ended = false, now
	if !slices.Contains(w.r.endpoints, e) {
		return // it was replaced meanwhile
	}
	if !w.dirty {
		w.dirty, w.reportAt = true, now.Add(gatherDelay)
	}
	addrs, err := check(o.result.Addresses)
	err = joined([]error{o.err, err})
	if only := w.r.opts.Only; only != "" {
		addrs = slices.DeleteFunc(addrs, func(a Address) bool { return a.String() != only })
	}
	if len(addrs) == 0 && err == nil {
		err = ErrNoRecords
	}
	if len(addrs) > 0 {
		e.latest = addrs // an answer without addresses keeps the last good ones
	}
	e.err = err
	e.due = time.Time{}
	if pause := w.pause(e, o.result.TTL, len(addrs) > 0); pause > 0 {
		e.due = now.Add(pause)
	}
	if err != nil {
		e.failures++
	} else {
		e.failures = 0
	}
	if e.wanted {
		w.bringForward(e)
	}
}

// pause returns how long to wait before e is resolved again. 0 means until
// somebody asks.
func (w *watcher) pause(e *endpoint, ttl time.Duration, found bool) time.Duration {
	o := w.r.opts
	if ttl > 0 {
		ttl = max(min(max(ttl, o.MinTTL), o.MaxTTL), o.MinInterval)
	}
	switch {
	case e.err == nil:
		return ttl
	case !found:
		return backoff(e.failures)
	}
	// A part of the answer is missing. This may be temporary, or a stale record
	// that nobody will ever remove. So start with the shortest pause, and end
	// with the TTL.
	least := max(o.MinTTL, o.MinInterval)
	if ttl <= 0 {
		ttl = o.MaxTTL
	}
	if ttl <= least {
		return least
	}
	return min(least<<min(e.failures, 6), ttl)
}

// check separates the addresses that can be dialed from those that cannot.
func check(in []Address) (ok []Address, err error) {
	var failed []error
	for _, a := range in {
		if err := a.validate(); err == nil {
			ok = append(ok, a)
		} else if len(failed) < 3 {
			failed = append(failed, err)
		}
	}
	for _, a := range ok {
		if a.TLS != ok[0].TLS {
			return nil, fmt.Errorf("the answer has both %v and %v: %w", ok[0], a, ErrMixedTLS)
		}
	}
	return ok, joined(failed)
}

// backoff returns the pause after a failure that n others preceded. It varies by
// 20 % in either direction, so that clients that failed together do not retry
// together.
func backoff(n int) time.Duration {
	d := shortestPause << min(n, 6)
	d = time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
	return min(max(d, shortestPause), longestPause)
}

// next returns when the next scheduled event is due. Zero means never.
func (w *watcher) next() time.Time {
	var next time.Time
	if w.dirty {
		next = w.reportAt
	}
	for _, e := range w.r.endpoints {
		if !e.running && !e.due.IsZero() && (next.IsZero() || e.due.Before(next)) {
			next = e.due
		}
	}
	return next
}

// report tells gRPC if anything has changed.
func (w *watcher) report() {
	w.dirty = false
	merged, later := w.merge()
	addrs := order(merged, w.r.Addresses(), w.r.opts.KeepOrder, later)
	if found := len(addrs); found > maxAddresses {
		addrs = addrs[:maxAddresses]
		if !w.cut {
			w.r.opts.Logger.Warn("etcd: too many addresses; the last ones are ignored", "addresses", found, "used", maxAddresses)
		}
		w.cut = true
	} else {
		w.cut = false
	}
	failures := w.endpointErrors()
	w.r.setFailures(failures)
	if len(addrs) == 0 {
		// When every endpoint has failed, tell waiting calls why.
		if len(failures) == len(w.r.endpoints) {
			w.cc.ReportError(joined(failures))
		}
		return
	}
	if slices.Equal(addrs, w.reported) {
		w.refused = 0
		return
	}
	state := grpcresolver.State{Endpoints: make([]grpcresolver.Endpoint, 0, len(addrs))}
	for _, a := range addrs {
		state.Endpoints = append(state.Endpoints, grpcresolver.Endpoint{Addresses: []grpcresolver.Address{a.toGRPC()}})
	}
	w.r.setCurrent(addrs)
	if err := w.cc.UpdateState(state); err != nil {
		// gRPC's contract: if a state is refused, resolve again, with pauses. DNS
		// does not change the state, so the report is repeated instead.
		if w.refused == 0 {
			w.r.opts.Logger.Warn("etcd: gRPC refused the addresses", "cause", err)
		}
		w.dirty, w.reportAt = true, time.Now().Add(backoff(w.refused))
		w.refused++
		return
	}
	names := make([]string, len(addrs)) // every handler shows strings as they are
	for i, a := range addrs {
		names[i] = a.String()
	}
	w.r.opts.Logger.Info("etcd: addresses changed", "addresses", names)
	w.reported, w.refused = addrs, 0
}

// merge returns the addresses of all endpoints that agree on TLS, without
// duplicates. The first endpoint that decides about TLS wins. An endpoint that
// contradicts it fails and keeps its former addresses; it does not affect the
// others.
//
// If a bare name has addresses of both families, those of the family that the
// system prefers less (RFC 6724) are in later.
func (w *watcher) merge() (out []Address, later map[Address]bool) {
	w.upgrade()
	later = make(map[Address]bool)
	seen := make(map[string]int)
	for _, e := range w.r.endpoints {
		if len(e.latest) == 0 {
			continue
		}
		e.mixed = w.r.decided.admit(securityOf(e.latest[0].TLS), e.uri)
		if e.mixed == nil {
			e.addrs = e.latest
		}
		_, named := e.source.(*hostSource)
		for _, a := range e.addrs {
			s := a.String()
			if named {
				// Names with the same address may be told apart by the server: in
				// the TLS handshake (SNI) or by the :authority.
				s += " " + a.ServerName
				later[a] = strings.Contains(a.Host, ":") != strings.Contains(e.addrs[0].Host, ":")
			}
			if i, ok := seen[s]; !ok {
				seen[s] = len(out)
				out = append(out, a)
			} else {
				plainByDNS := a.PlainByDNS && out[i].PlainByDNS // unless the user names it, too
				if a.Priority < out[i].Priority {
					out[i] = a
				}
				out[i].PlainByDNS = plainByDNS
			}
		}
	}
	return out, later
}

// upgrade lets a client that is plain only because of DNS change to TLS once
// everything that DNS says has become TLS. The opposite is not possible: a DNS
// answer, which may be forged, never turns TLS off.
func (w *watcher) upgrade() {
	if w.r.security.security != SecurityUnknown || w.r.decided.security != SecurityPlain {
		return
	}
	for _, e := range w.r.endpoints {
		if len(e.latest) > 0 && !e.latest[0].TLS {
			return
		}
	}
	w.r.decided = tlsDecision{}
}

// endpointErrors returns the errors of all endpoints, and logs each error that is
// new, has changed, or is gone.
func (w *watcher) endpointErrors() []error {
	var out []error
	for _, e := range w.r.endpoints {
		err := joined([]error{e.err, e.mixed})
		text := ""
		if err != nil {
			out = append(out, &EndpointError{Endpoint: e.uri, Err: err})
			text = err.Error()
		}
		switch text {
		case e.logged:
		case "":
			w.r.opts.Logger.Info("etcd: endpoint resolves again", "endpoint", e.uri)
		default:
			w.r.opts.Logger.Warn("etcd: endpoint does not resolve", "endpoint", e.uri, "cause", err, "keeping", len(e.addrs))
		}
		e.logged = text
	}
	return out
}
