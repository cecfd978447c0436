package lease

import (
	"github.com/getcd/getcd/internal/census"
	"github.com/getcd/getcd/internal/clock"
)

// enlist makes the leases count in the census of the client that renews them.
func (m *manager) enlist(c *census.Census) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.running || m.census == c {
		return
	}
	if m.census != nil {
		m.census.Leave(m)
	}
	m.census = c
	c.Join(m)
}

// Tell implements census.Teller.
func (m *manager) Tell(sum *census.Tally) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := clock.Now()
	for _, e := range m.entries {
		sum.Leases++
		if e.ttl > 0 {
			sum.Prove(max(e.deadline.Sub(now), 0), e.ttl)
		}
	}
}
