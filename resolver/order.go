package resolver

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"sort"
)

// targetKey identifies a member within a priority. All addresses of one SRV
// target together are one element of RFC 2782's selection.
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

// order returns addrs in the order in which to try them: by priority, and within
// a priority in RFC 2782's random order by weight, or in the given order if keep
// is set. Addresses that known lists with the same priority keep their relative
// order, and a new address does not come before all of them. So a client that
// works well does not move just because a name was resolved again. Addresses in
// later come after the others of their priority.
func order(addrs, known []Address, keep bool, later map[Address]bool) []Address {
	out := slices.Clone(addrs)
	sort.SliceStable(out, func(i, j int) bool { return out[i].Priority < out[j].Priority })
	if keep {
		return out
	}
	position := make(map[string]int, len(known)) // by the address to dial
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
		sort.SliceStable(tier, func(i, j int) bool { return !later[tier[i]] && later[tier[j]] })
		restore(tier, func(a Address) (int, bool) {
			i, ok := position[a.String()]
			return i, ok && known[i].Priority == a.Priority
		})
	}
	return out
}

// draw puts the addresses of one priority into RFC 2782's random order (see the
// description of "Weight"): it repeatedly draws a member with a probability
// proportional to its weight.
//
// The RFC then tries all addresses of a member before the next member. Here the
// first address of every member comes before the second of any. The client keeps
// a connected standby, and if a member dies, another address of the same member
// is the worst possible standby. The first address in the list, and with it the
// share of the load, is the same as in the RFC.
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

// restore puts the known addresses of a drawn tier back into their former order,
// in the places that the draw gave to known addresses, and moves the first of
// them to the front.
func restore(tier []Address, formerPosition func(Address) (int, bool)) {
	type placed struct {
		address Address
		former  int
	}
	var places []int
	var old []*placed
	for i, a := range tier {
		if former, ok := formerPosition(a); ok {
			places = append(places, i)
			old = append(old, &placed{a, former})
		}
	}
	if len(old) == 0 {
		return
	}
	slices.SortFunc(old, func(a, b *placed) int { return cmp.Compare(a.former, b.former) })
	for i, p := range places {
		tier[p] = old[i].address
	}
	if first := places[0]; first > 0 {
		head := tier[first]
		copy(tier[1:first+1], tier[:first])
		tier[0] = head
	}
}
