package bench

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Config says what to measure. The zero value means everything.
type Config struct {
	// Clients, Faults, Kinds and Roles are names from List. Empty means all that
	// do not have to be requested by name.
	Clients, Faults, Kinds, Roles []string

	// FaultTime is how long a fault lasts. 0 means 15 s.
	FaultTime time.Duration
	// WarmUp and Recovery are how long the clients work before the fault and
	// after its repair. 0 means 2 s and 3 s.
	WarmUp, Recovery time.Duration

	// Size is the number of members, from 3 to 9. 0 means 3.
	Size int
	// ElectionTimeout is etcd's election timeout, from 50 ms to 50 s. 0 means
	// etcd's default of 1 s. The heartbeat interval is a tenth of it.
	ElectionTimeout time.Duration

	// Workers is how many workers each client has for each kind of call. 0 means
	// 4.
	Workers int
	// Pace is the time between a worker's calls. 0 means 20 ms. A call that takes
	// longer delays the next one.
	Pace time.Duration
	// Deadline is how long a call may take. 0 means 5 s.
	Deadline time.Duration
	// Apart measures each kind of call with a separate fault. Otherwise all kinds
	// share a fault and a client, so a client's reads may help its writes to
	// notice the fault.
	Apart bool

	// Random, if not 0, does not measure each fault separately. Instead it
	// applies random faults of Faults to random members, one after another, for
	// that long. The maximum is 24 h.
	Random time.Duration
	// Seed determines all random decisions. 0 means a random seed, which the
	// report names.
	Seed uint64

	// LeastValue and MostValue are the bounds for the sizes of the values that
	// puts write, up to 1 MB. 0 means a few bytes.
	LeastValue, MostValue Bytes
	// Rate is how many bytes per second pass between each member and its clients,
	// in each direction. 0 means no limit. A member that replaces another has no
	// limit.
	Rate Bytes

	// Secure makes members and clients use TLS, and clients log in with a user
	// and a password.
	Secure bool

	// Progress gets a line for each step. Nil means no output.
	Progress io.Writer
}

const (
	// A swap has two values, which must fit into the clients' default limit of 2
	// MiB.
	mostValue = 1_000_000
	leastRate = 10_000
)

const (
	roleFollower = "follower"
	roleLeader   = "leader"
)

// Choice is a choice with a name.
type Choice struct {
	Name, Text string
	// Missing says why it is not available here. It is empty if it is available.
	Missing string
	// Unasked says that it is not included by default and has to be requested.
	Unasked bool
}

// Choices are the possible names in the fields of Config.
type Choices struct{ Clients, Faults, Kinds, Roles []Choice }

// List returns the possible choices and the defaults.
func List() Choices {
	var c Choices
	for _, t := range clientTypes() {
		c.Clients = append(c.Clients, Choice{Name: t.name, Text: t.text})
	}
	for _, f := range faults() {
		c.Faults = append(c.Faults, Choice{Name: f.name, Text: f.text, Missing: f.missing, Unasked: f.unasked})
	}
	for _, k := range kinds() {
		c.Kinds = append(c.Kinds, Choice{Name: k.name, Text: k.text, Missing: k.missing})
	}
	c.Roles = []Choice{
		{Name: roleFollower, Text: "the victim is a follower"},
		{Name: roleLeader, Text: "the victim is the leader"},
	}
	return c
}

// Validate reports what is wrong with the configuration and how to fix it.
func (cfg Config) Validate() error {
	_, err := cfg.withDefaults()
	return err
}

// withDefaults replaces zero values with defaults and reports what is wrong with
// the others.
func (cfg Config) withDefaults() (Config, error) {
	list := List()
	var errs []error
	for _, names := range []struct {
		what  string
		names *[]string
		among []Choice
	}{
		{"client", &cfg.Clients, list.Clients},
		{"fault", &cfg.Faults, list.Faults},
		{"kind", &cfg.Kinds, list.Kinds},
		{"role", &cfg.Roles, list.Roles},
	} {
		chosen, err := choose(names.what, *names.names, names.among)
		errs = append(errs, err)
		*names.names = chosen
	}
	for _, d := range []struct {
		what          string
		value         *time.Duration
		preset, least time.Duration
		most          time.Duration
	}{
		{"fault time", &cfg.FaultTime, 15 * time.Second, 100 * time.Millisecond, time.Hour},
		{"warm-up", &cfg.WarmUp, 2 * time.Second, 100 * time.Millisecond, time.Hour},
		{"recovery", &cfg.Recovery, 3 * time.Second, 100 * time.Millisecond, time.Hour},
		{"election timeout", &cfg.ElectionTimeout, time.Second, 50 * time.Millisecond, 50 * time.Second},
		{"pace", &cfg.Pace, 20 * time.Millisecond, time.Millisecond, time.Minute},
		{"deadline", &cfg.Deadline, 5 * time.Second, 10 * time.Millisecond, time.Hour},
	} {
		if *d.value == 0 {
			*d.value = d.preset
		}
		if *d.value < d.least || *d.value > d.most {
			errs = append(errs, fmt.Errorf("the %s is %v, want %v to %v", d.what, *d.value, d.least, d.most))
		}
	}
	if cfg.Size == 0 {
		cfg.Size = 3
	}
	if cfg.Size < 3 || cfg.Size > 9 {
		errs = append(errs, fmt.Errorf("the size is %d members, want 3 to 9: fewer cannot lose one", cfg.Size))
	}
	if cfg.Workers == 0 {
		cfg.Workers = 4
	}
	if cfg.LeastValue < 0 || cfg.LeastValue > cfg.MostValue || cfg.MostValue > mostValue {
		errs = append(errs, fmt.Errorf("values have %d to %d bytes, want at most %d, and the lesser number first", cfg.LeastValue, cfg.MostValue, mostValue))
	}
	if cfg.Rate < 0 || cfg.Rate > 0 && cfg.Rate < leastRate {
		errs = append(errs, fmt.Errorf("the rate is %d bytes a second, want %d at least, or 0 for no limit", cfg.Rate, leastRate))
	}
	if cfg.Workers < 0 || cfg.Workers > 1000 {
		errs = append(errs, fmt.Errorf("there are %d workers, want 1 to 1000", cfg.Workers))
	}
	if cfg.Random < 0 || cfg.Random > 24*time.Hour {
		errs = append(errs, fmt.Errorf("there are to be random faults for %v, want up to 24h, or 0 for none", cfg.Random))
	}
	if cfg.Random > 0 {
		if cfg.Apart {
			errs = append(errs, errors.New("random faults are for all kinds of calls at once, not for each apart"))
		}
		if among := random(cfg); len(among) == 0 && errors.Join(errs...) == nil {
			errs = append(errs, fmt.Errorf("none of the faults %s can be one of several", strings.Join(cfg.Faults, ", ")))
		}
		cfg.FaultTime = cfg.Random
	}
	if errors.Join(errs...) == nil && len(cells(cfg)) == 0 {
		errs = append(errs, fmt.Errorf("%s are measured in silent faults and in kill only, and not in random ones", strings.Join(cfg.Kinds, ", ")))
	}
	if cfg.Seed == 0 {
		cfg.Seed = 1 + rand.Uint64N(1<<53-1) // the largest integer that every JSON reader can hold
	}
	if cfg.Progress == nil {
		cfg.Progress = io.Discard
	}
	return cfg, errors.Join(errs...)
}

// choose returns the names in the order of the list. Without names it returns
// all.
func choose(what string, names []string, among []Choice) ([]string, error) {
	var available, all []string
	for _, c := range among {
		if c.Missing == "" {
			available = append(available, c.Name)
		}
		if c.Missing == "" && !c.Unasked {
			all = append(all, c.Name)
		}
	}
	if len(names) == 0 {
		return all, nil
	}
	var errs []error
	for _, name := range names {
		i := slices.IndexFunc(among, func(c Choice) bool { return c.Name == name })
		switch {
		case i < 0:
			errs = append(errs, fmt.Errorf("there is no %s %q, but there are %s", what, name, strings.Join(available, ", ")))
		case among[i].Missing != "":
			errs = append(errs, fmt.Errorf("the %s %q is not to be had here (%s); there are %s", what, name, among[i].Missing, strings.Join(available, ", ")))
		}
	}
	chosen := slices.DeleteFunc(available, func(name string) bool { return !slices.Contains(names, name) })
	return chosen, errors.Join(errs...)
}
