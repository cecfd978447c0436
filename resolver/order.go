package resolver

import (
	"cmp"
	"math/rand/v2"
	"slices"
)

// targetKey tells the members inside a priority apart: the addresses of one
// SRV target are one element of RFC 2782's draw, however many they are.
type targetKey struct {
	target string
	port   uint16
}

func keyOf(a Address) targetKey {
	if a.Target == "" {
		return targetKey{target: a.String()}
	}
	return targetKey{target: a.Target, port: a.Port}
}

// order returns addrs in the order in which they should be tried: by priority;
// inside a priority as drawn by weight, or as given when keep is set. Addresses
// that known lists with the same priority keep their relative order, and a new
// one does not come before all of them: a client that is served well does not
// move because a name was resolved once more. Addresses in later come behind the
// others of their priority.
func order(addrs, known []Address, keep bool, later map[Address]bool) []Address {
	out := slices.Clone(addrs)
	slices.SortStableFunc(out, func(a, b Address) int { return cmp.Compare(a.Priority, b.Priority) })
	if keep {
		return out
	}
	position := make(map[string]int, len(known)) // by what is dialled
	for i, a := range known {
		position[a.String()] = i
	}
	for rest := out; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].Priority == rest[0].Priority {
			n++
		}
		tier := rest[:n]
		rest = rest[n:]
		draw(tier)
		slices.SortStableFunc(tier, func(a, b Address) int {
			switch {
			case later[a] == later[b]:
				return 0
			case later[b]:
				return -1
			default:
				return 1
			}
		})
		restore(tier, func(a Address) (int, bool) {
			i, ok := position[a.String()]
			return i, ok && known[i].Priority == a.Priority
		})
	}
	return out
}

// draw puts one priority into the random order of RFC 2782, the description of
// "Weight": again and again a member is drawn with a probability proportional
// to its weight.
//
// The RFC then tries all addresses of a member before the next member. Here the
// first address of every member comes before the second of any: the client
// keeps a connected standby, and when a member dies, another address of the
// same member is the worst of all standbys. The first address to be tried, and
// with it the share of the load, is the RFC's.
func draw(tier []Address) {
	type member struct {
		weight int
		addrs  []Address
	}
	var members []*member
	byKey := make(map[targetKey]*member)
	for _, a := range tier {
		k := keyOf(a)
		m := byKey[k]
		if m == nil {
			m = &member{weight: int(a.Weight)}
			byKey[k] = m
			members = append(members, m)
		}
		m.addrs = append(m.addrs, a)
	}

	// "Arrange all SRV RRs (that have not been ordered yet) in any order,
	// except that all those with weight 0 are placed at the beginning of the
	// list", which gives them a small chance to be drawn early.
	rand.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	slices.SortStableFunc(members, func(a, b *member) int {
		return cmp.Compare(min(a.weight, 1), min(b.weight, 1))
	})
	sum := 0
	for _, m := range members {
		sum += m.weight
	}
	drawn := make([]*member, 0, len(members))
	for len(members) > 0 {
		// "choose a uniform random number between 0 and the sum computed
		// (inclusive), and select the RR whose running sum value is the first in
		// the selected order which is greater than or equal to the random number
		// selected."
		r, i := rand.IntN(sum+1), 0
		for running := members[0].weight; running < r; running += members[i].weight {
			i++
		}
		sum -= members[i].weight
		drawn = append(drawn, members[i])
		members = slices.Delete(members, i, i+1)
	}

	n := 0
	for round := 0; n < len(tier); round++ {
		for _, m := range drawn {
			if round < len(m.addrs) {
				tier[n] = m.addrs[round]
				n++
			}
		}
	}
}

// restore gives the known addresses of a drawn tier their former order back, in
// the places that the draw gave to known addresses, and lets the first of them
// be the first of all.
func restore(tier []Address, formerPosition func(Address) (int, bool)) {
	type placed struct {
		address Address
		former  int
	}
	var places []int
	var old []placed
	for i, a := range tier {
		if former, ok := formerPosition(a); ok {
			places = append(places, i)
			old = append(old, placed{a, former})
		}
	}
	if len(old) == 0 {
		return
	}
	slices.SortFunc(old, func(a, b placed) int { return cmp.Compare(a.former, b.former) })
	for i, p := range places {
		tier[p] = old[i].address
	}
	if first := places[0]; first > 0 {
		head := tier[first]
		copy(tier[1:first+1], tier[:first])
		tier[0] = head
	}
}
