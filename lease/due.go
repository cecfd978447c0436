package lease

import "time"

// due is a heap of the leases, ordered by when they need attention. Each renewal moves its
// lease from the top to the bottom, so the times lie in the heap itself, and each element
// has four below it: a lease's entry, which is rarely in the processor's cache, is touched
// once for each level.
type due []appointment

const children = 4

type appointment struct {
	at time.Time
	e  *entry
}

// push adds a lease.
func (d *due) push(e *entry, at time.Time) {
	e.index = len(*d)
	*d = append(*d, appointment{at, e})
	d.up(e.index)
}

// move gives a lease another time.
func (d *due) move(e *entry, at time.Time) {
	a := &(*d)[e.index]
	earlier := at.Before(a.at)
	a.at = at
	if earlier {
		d.up(e.index)
	} else {
		d.down(e.index)
	}
}

// remove takes a lease out.
func (d *due) remove(e *entry) {
	i, last := e.index, len(*d)-1
	moved := (*d)[last]
	(*d)[last] = appointment{}
	*d = (*d)[:last]
	if i < last {
		d.put(i, moved)
		d.up(i)
		d.down(moved.e.index)
	}
}

func (d *due) put(i int, a appointment) {
	(*d)[i] = a
	a.e.index = i
}

// up moves the element at i to its place, if that is nearer to the top.
func (d *due) up(i int) {
	all := *d
	a := all[i]
	for i > 0 {
		parent := (i - 1) / children
		if !a.at.Before(all[parent].at) {
			break
		}
		d.put(i, all[parent])
		i = parent
	}
	d.put(i, a)
}

// down moves the element at i to its place, if that is farther from the top.
func (d *due) down(i int) {
	all := *d
	a := all[i]
	for {
		first := children*i + 1
		if first >= len(all) {
			break
		}
		least := first
		for other := first + 1; other < min(first+children, len(all)); other++ {
			if all[other].at.Before(all[least].at) {
				least = other
			}
		}
		if !all[least].at.Before(a.at) {
			break
		}
		d.put(i, all[least])
		i = least
	}
	d.put(i, a)
}
