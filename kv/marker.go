package kv

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/getcd/getcd/internal/backoff"
	"github.com/getcd/getcd/internal/ctxerr"
	"github.com/getcd/getcd/internal/etcderr"
	"github.com/getcd/getcd/internal/misuse"
)

// ErrMarkerChanged is why a transaction cannot be settled when another client has
// written to its Marker's key, or deleted it.
var ErrMarkerChanged = errors.New("kv: another client has changed the marker's key; use one key for each writer")

// Transactor begins transactions. A KV does, and so do a lock.Mutex, a lock.Held and an
// election.Election, whose transactions are applied only while they are held.
type Transactor interface {
	// Txn begins a transaction. Nothing is sent before its Commit.
	Txn(ctx context.Context) Txn
}

// Marker makes transactions whose fate can be found out. When the answer to a transaction
// is lost, Settle tells whether it was applied:
//
//	resp, err := marker.Txn(ctx, store).If(…).Then(…).Commit()
//	if client.IsAmbiguous(err) {
//		applied, err = marker.Settle(ctx)
//	}
//
// To look is not enough for that: a request that seems lost may be applied later, by a
// member that was stopped and goes on. So each transaction takes for granted that the
// marker's key has not changed since the one before, and puts a value there that nobody
// else puts. Settle changes the key as well, unless the transaction has: whichever comes
// first refuses the other forever.
//
// The key is for one writer at a time, such as a process, or the holder of a lock. It
// stays on the cluster, as one small key, and the writer's next process can go on with
// it. Neither of them can settle what another one has begun.
//
// The methods of a Marker are safe for concurrent use, but it is for one transaction after
// the other: while one is under way, another one is a *UsageError, and Settle is about the
// last one. As with all that goes by revisions, nothing is certain across the restoring of
// the cluster from a backup.
type Marker struct {
	store KV
	key   string
	id    string // all its values begin with it

	mu    sync.Mutex // guards busy; busy guards the rest
	busy  bool
	rev   int64  // the key's mod revision; 0 if that is not known
	n     int    // transactions so far
	value string // what the last one puts
	fate  fate   // of the last one that was sent
	none  bool   // the last one was not sent, since the fate of the one before was open
}

// fate is what is known of a Marker's last transaction.
type fate uint8

const (
	answered  fate = iota // or there was none: nothing to settle
	open                  // it may have been applied, or may yet be
	applied               // it was
	refused               // it was not, and will not be
	forgotten             // the key was changed by another, so it will not be; whether it was is lost
)

// NewMarker returns a Marker with a key of its own, such as "markers/host-1". Nothing is
// sent; the first transaction creates the key if it is not there.
func NewMarker(store KV, key string) (*Marker, error) {
	if err := misuse.Nil("kv: NewMarker", "store", store); err != nil {
		return nil, err
	}
	if key == "" {
		return nil, errEmptyKey("NewMarker", `it is empty; name a key of the writer's own, such as "markers/host-1"`)
	}
	return &Marker{store: store, key: key, id: fmt.Sprintf("%016x", rand.Uint64())}, nil
}

// Txn begins a transaction on a store, or under a lock or a leadership, of the same cluster
// and namespace as the Marker's store. It is a Txn like any other, with these exceptions:
//
//   - Then also puts the marker's key; the operations have their numbers all the same.
//   - Else may only read, since a copy of the transaction that comes late takes that
//     branch. What is to be written in both cases is a transaction in Then (OpTxn).
//   - Commit waits until the fate of the transaction before is certain, if nobody has
//     asked for it. It sends the transaction again if somebody else, such as the writer's
//     last process, has changed the marker's key meanwhile.
//
// After any error of Commit, Settle tells whether the transaction was applied. When the
// error is certain (client.IsAmbiguous is false), it was not.
func (m *Marker) Txn(ctx context.Context, on Transactor) Txn {
	return NewTxn(func(op Op) (*TxnResponse, error) {
		if err := misuse.Context(ctx, "kv: Marker: Txn"); err != nil {
			return nil, err
		}
		if err := misuse.Nil("kv: Marker: Txn", "store", on); err != nil {
			return nil, err
		}
		for i := range op.elseOps {
			if op.elseOps[i].writes() {
				return nil, &UsageError{
					Op: "Marker", Option: fmt.Sprintf("Else[%d]", i),
					Reason: "it writes, and a copy of the transaction that comes late would do so even after Settle; put an OpTxn with both branches into Then",
				}
			}
		}
		if err := m.begin("Txn"); err != nil {
			return nil, err
		}
		defer m.end()
		return m.commit(ctx, on, op)
	})
}

// Settle finds out whether the last transaction, whose Commit has returned an error, was
// applied: its Then branch, since its Else only reads. If it was not, it never will be.
// Settle asks the cluster again and again until it knows, or ctx ends; so give it a
// context that has time, which the one that the transaction has failed with may not have.
// While the cluster refuses writes because of an alarm, it does not wait.
// Once the fate is known, Settle returns it without asking.
//
// An error is an *UnsettledError, of which client.IsAmbiguous is true: call Settle again,
// unless it is ErrMarkerChanged, which is forever. If the last transaction was answered,
// or there was none, that is a *UsageError.
func (m *Marker) Settle(ctx context.Context) (bool, error) {
	if err := misuse.Context(ctx, "kv: Marker: Settle"); err != nil {
		return false, err
	}
	if err := m.begin("Settle"); err != nil {
		return false, err
	}
	defer m.end()
	if m.none {
		return false, nil
	}
	if m.fate == answered {
		return false, &UsageError{Op: "Marker", Option: "Settle", Reason: "the last transaction was answered, or there was none; call it after an error of Commit"}
	}
	if err := m.settle(ctx); err != nil {
		return false, &UnsettledError{Key: m.key, Err: err}
	}
	return m.fate == applied, nil
}

func (m *Marker) begin(call string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.busy {
		return &UsageError{Op: "Marker", Option: call, Reason: "a transaction or Settle is under way; use one Marker, with a key of its own, for each writer"}
	}
	m.busy = true
	return nil
}

func (m *Marker) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.busy = false
}

// commit sends the transaction until it is answered under the marker, or fails.
func (m *Marker) commit(ctx context.Context, on Transactor, op Op) (*TxnResponse, error) {
	err := m.settle(ctx)
	if m.none = m.fate == open; m.none {
		return nil, m.notSent(ctx, err)
	}
	m.fate = refused // until it is sent
	m.n++
	m.value = fmt.Sprintf("%s.%d", m.id, m.n)
	for lost := 0; ; lost++ {
		if err := m.find(ctx); err != nil {
			return nil, m.notSent(ctx, err)
		}
		resp, err := on.Txn(ctx).
			If(append(slices.Clip(op.cmps), m.unchanged())...).
			Then(append(slices.Clip(op.thenOps), OpPut(m.key, m.value))...).
			Else(append(slices.Clip(op.elseOps), OpGet(m.key, WithKeysOnly()))...).
			Commit()
		if err != nil {
			if etcderr.Ambiguous(err) {
				m.fate = open
			}
			return nil, err
		}
		last := len(resp.Responses) - 1
		now := &GetResponse{}
		if resp.Succeeded {
			m.rev = resp.Header.GetRevision()
		} else if now, err = resp.Get(last); err != nil {
			return nil, err
		}
		if resp.Succeeded || len(now.Kvs) > 0 && now.Kvs[0].ModRevision == m.rev {
			m.fate = answered
			resp.Responses = resp.Responses[:last]
			return resp, nil
		}
		m.rev = 0 // the key was changed: that may be why, and nothing was applied
		if lost == mostLost {
			return nil, &UsageError{
				Op: "Marker", Option: "Txn",
				Reason: fmt.Sprintf("nothing was applied, since the transaction never finds %q as the store has it: other writers change it all the time, or the two are not of one cluster and one namespace", m.key),
			}
		}
		backoff.Sleep(ctx, retries.Pause(lost)) // the store tells if ctx has ended
	}
}

// mostLost is how often a transaction is sent again because the key was changed. A writer's
// last process has little under way.
const mostLost = 8

// unchanged is what each transaction takes for granted.
func (m *Marker) unchanged() Cmp { return Compare(ModRevision(m.key), "=", m.rev) }

// find learns the key's mod revision. It creates the key if it is not there: a
// transaction that took its absence for granted could come late, after it was deleted.
func (m *Marker) find(ctx context.Context) error {
	if m.rev != 0 {
		return nil
	}
	return again(ctx, func() error {
		resp, err := m.store.Txn(ctx).
			If(Compare(CreateRevision(m.key), "=", 0)).
			Then(OpPut(m.key, m.id)).
			Else(OpGet(m.key, WithKeysOnly())).
			Commit()
		if err != nil {
			return err
		}
		if resp.Succeeded {
			m.rev = resp.Header.GetRevision()
			return nil
		}
		now, err := resp.Get(0)
		if err == nil && len(now.Kvs) > 0 {
			m.rev = now.Kvs[0].ModRevision
		}
		return err
	})
}

// settle makes the fate of the last transaction certain.
func (m *Marker) settle(ctx context.Context) error {
	if m.fate == forgotten {
		return ErrMarkerChanged
	}
	if m.fate != open {
		return nil
	}
	instead := m.value + " refused"
	return again(ctx, func() error {
		resp, err := m.store.Txn(ctx).
			If(m.unchanged()).
			Then(OpPut(m.key, instead)). // from here on, the transaction is refused
			Else(OpGet(m.key)).
			Commit()
		if err != nil {
			return err
		}
		if resp.Succeeded {
			m.rev, m.fate = resp.Header.GetRevision(), refused
			return nil
		}
		now, err := resp.Get(0)
		if err != nil {
			return err
		}
		m.rev = 0
		if len(now.Kvs) == 0 {
			m.fate = forgotten
			return ErrMarkerChanged
		}
		switch string(now.Kvs[0].Value) {
		case m.value:
			m.fate = applied
		case instead: // by an earlier try
			m.fate = refused
		default:
			m.fate = forgotten
			return ErrMarkerChanged
		}
		m.rev = now.Kvs[0].ModRevision
		return nil
	})
}

// notSent is the error of a transaction before which something else has failed. What that
// says of its own fate is not the transaction's.
func (m *Marker) notSent(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("kv: Marker: not sent, since %q could not be reached: %w (%s)", m.key, ctxerr.Of(ctx), err) //nolint:errorlint // as above
	}
	return fmt.Errorf("kv: Marker: not sent, since %q could not be reached: %w", m.key, etcderr.Certain(err))
}

// retries are the pauses between the requests of again.
var retries = backoff.Exponential{First: 20 * time.Millisecond, Max: time.Second}

// again calls f, which does the same however often it is called, until it succeeds, ctx
// ends, or trying again would end the same, as it does while the cluster has no space.
func again(ctx context.Context, f func() error) error {
	for failures := 0; ; failures++ {
		err := f()
		if err == nil || errors.Is(err, ErrMarkerChanged) || etcderr.FinalForCaller(err) || !backoff.Sleep(ctx, retries.Pause(failures)) {
			return err
		}
	}
}

// writes reports whether the operation can change something.
func (op Op) writes() bool {
	return op.kind == opPut || op.kind == opDelete ||
		slices.ContainsFunc(op.thenOps, Op.writes) || slices.ContainsFunc(op.elseOps, Op.writes)
}

// UnsettledError says that it could not be found out whether a transaction was applied.
// It unwraps to the last failure.
type UnsettledError struct {
	// Key is the Marker's.
	Key string
	// Err is the last failure.
	Err error
}

// Error implements error.
func (e *UnsettledError) Error() string {
	return fmt.Sprintf("kv: Marker: whether the transaction was applied could not be found out by %q: %v", e.Key, e.Err)
}

// Unwrap returns Err.
func (e *UnsettledError) Unwrap() error { return e.Err }

// Ambiguous is true: the transaction may have been applied. client.IsAmbiguous finds it.
func (e *UnsettledError) Ambiguous() bool { return true }
