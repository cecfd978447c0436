package chaos

import "math/rand/v2"

// Draws returns the first n faults of a seed, as texts.
func Draws(seed uint64, n int) ([]string, error) {
	cfg, among, err := Config{Seed: seed}.validate()
	if err != nil {
		return nil, err
	}
	r := rand.New(rand.NewPCG(seed, seed))
	var texts []string
	for range n {
		d := newDraw(among, r, cfg, 3)
		texts = append(texts, d.fault.name+" "+d.lasting.String()+" "+d.pause.String())
	}
	return texts, nil
}
