package recipe_test

import (
	"testing"

	"github.com/getcd/getcd/concurrency/recipe"
	"github.com/getcd/getcd/lease"
)

// A request that was sent again, and is applied late, does not bring back what was
// removed since, by whomever.
func TestLateCopyDoesNotComeBack(t *testing.T) {
	for what, use := range map[string]func(r *rig){
		"Barrier": func(r *rig) {
			b := recipe.NewBarrier(r.client(), "x")
			r.do("Hold", b.Hold(r.t.Context()))
			r.do("Release", b.Release(r.t.Context()))
		},
		"Barrier that another client removes": func(r *rig) {
			r.do("Hold", recipe.NewBarrier(r.client(), "x").Hold(r.t.Context()))
			if resp, err := r.admin.Delete(r.t.Context(), "x"); err != nil || resp.Deleted != 1 {
				r.t.Errorf("Delete: %v, %v; want 1 key", resp, err)
			}
		},
		"RWMutex, writing": func(r *rig) {
			m := recipe.NewRWMutex(r.client(), r.session(), "x")
			r.do("Lock", m.Lock(r.t.Context()))
			r.do("Unlock", m.Unlock(r.t.Context()))
		},
		"RWMutex, reading": func(r *rig) {
			m := recipe.NewRWMutex(r.client(), r.session(), "x")
			r.do("RLock", m.RLock(r.t.Context()))
			r.do("RUnlock", m.RUnlock(r.t.Context()))
		},
		"DoubleBarrier": func(r *rig) {
			b := r.doubleBarrier("x", 1)
			r.do("Enter", b.Enter(r.t.Context()))
			r.do("Leave", b.Leave(r.t.Context()))
		},
	} {
		for name, fates := range map[string][]fate{
			"the first":                     {late},
			"the first two":                 {late, late},
			"the second, the first applied": {lost, late},
		} {
			t.Run(what+"/"+name, func(t *testing.T) {
				run(t, func(r *rig) {
					applied := r.faultyTxns(func(n int) fate {
						if n > len(fates) {
							return fine
						}
						return fates[n-1]
					})
					use(r)
					applied()
					r.wantOnlyFence("x")
				})
			})
		}
	}
}

// An Unlock whose answer is lost is sent again, and finds that the key is gone: it has deleted it.
func TestUnlockWhoseAnswerIsLost(t *testing.T) {
	run(t, func(r *rig) {
		m := recipe.NewRWMutex(r.client(), r.session(), "x")
		r.do("Lock", m.Lock(r.t.Context()))
		r.faultyTxns(func(n int) fate {
			if n > 1 {
				return fine
			}
			return lost
		})
		r.do("Unlock", m.Unlock(r.t.Context()))
	})
}

// Where the session had ended before, the key has gone with it, whatever the lost answer was.
func TestUnlockAfterTheSessionWhoseAnswerIsLost(t *testing.T) {
	run(t, func(r *rig) {
		s := r.session()
		m := recipe.NewRWMutex(r.client(), s, "x")
		r.do("RLock", m.RLock(r.t.Context()))
		if _, err := lease.New(r.cluster.Member(1).Conn(r.t)).Revoke(r.t.Context(), s.ID()); err != nil {
			r.t.Fatalf("Revoke: %v", err)
		}
		<-s.Done()
		r.faultyTxns(func(n int) fate {
			if n > 1 {
				return fine
			}
			return lost
		})
		wantIs(r.t, "RUnlock", m.RUnlock(r.t.Context()), recipe.ErrLost)
	})
}

// Nor does one of a Hold that has found another's barrier.
func TestLateHoldOfAnExistingBarrier(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		applied := r.faultyTxns(func(n int) fate {
			if n > 1 {
				return fine
			}
			_, err := r.admin.Put(t.Context(), "x", "another's")
			r.do("Put", err)
			return late
		})
		wantIs(t, "Hold", recipe.NewBarrier(r.client(), "x").Hold(t.Context()), recipe.ErrKeyExists)
		_, err := r.admin.Delete(t.Context(), "x")
		r.do("Delete", err)
		applied()
		r.wantOnlyFence("x")
	})
}

func (r *rig) wantOnlyFence(name string) {
	r.t.Helper()
	if keys := r.keys(name); len(keys) != 1 || keys[0] != name+".fence" {
		r.t.Errorf("the keys are %q, want %q alone", keys, name+".fence")
	}
}
