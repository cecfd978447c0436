package policy

import (
	"testing"
)

// A large request leaves while more of it waits; small ones that leave at once, however
// many there are, are nothing of a request that was sent before.
func TestOnlyWhatQueuesLeavesLate(t *testing.T) {
	const turn = int64(motionTime)
	t.Run("small ones", func(t *testing.T) {
		var w rawConn
		var m motion
		m.begin(&w, 0)
		for i := range int64(20) {
			w.given.Add(motionBytes - 1)
			w.sent.Add(motionBytes - 1)
			m.moves(&w, (i+1)*turn)
		}
		if m.out != 0 || m.last == 0 {
			t.Errorf("out is %v, last %v: want that bytes moved, and none that had waited", m.out, m.last)
		}
	})
	t.Run("a large one", func(t *testing.T) {
		var w rawConn
		var m motion
		m.begin(&w, 0)
		w.given.Add(4 * motionBytes)
		for i := range int64(4) {
			m.moves(&w, 2*i*turn)
			w.sent.Add(motionBytes)
			m.moves(&w, (2*i+1)*turn)
		}
		m.moves(&w, 100*turn)
		if want := 7 * turn; m.out != want {
			t.Errorf("out is %v, want %v, when its last byte left", m.out, want)
		}
	})
}
