package lease

import "testing"

// An ID that was drawn is one's own for its first lease, and until so many others were
// drawn that it is forgotten.
func TestOwnIDs(t *testing.T) {
	var s ids
	if s.use(7) || s.has(7) {
		t.Error("an ID that was not drawn is one's own")
	}
	s.add(7)
	if !s.has(7) || !s.use(7) || !s.has(7) {
		t.Error("an ID that was drawn is not one's own at first")
	}
	if s.use(7) || s.has(7) {
		t.Error("an ID that was used twice is one's own still")
	}
	s.add(8)
	for i := range remembered {
		s.add(ID(100 + i))
	}
	if !s.use(8) || !s.has(8) {
		t.Error("an ID is forgotten too early")
	}
	for i := range 2 * remembered {
		s.add(ID(1e6 + i))
	}
	if s.has(8) || len(s.young)+len(s.old) > 2*remembered {
		t.Errorf("%d IDs are remembered, want no more than %d", len(s.young)+len(s.old), 2*remembered)
	}
}
