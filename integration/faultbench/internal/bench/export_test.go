package bench

// JudgeVersions is for tests.
var JudgeVersions = judgeVersions

// Choose is for tests.
var Choose = choose

// Plan names the cells that Run would do.
func Plan(cfg Config) ([]string, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, c := range cells(cfg) {
		names = append(names, c.name())
	}
	return names, nil
}

// Filled and Short are filled and short.
func (cfg Config) Filled(id string) string { return cfg.filled(id) }

// Short is short.
func (cfg Config) Short(value string) string { return cfg.short(value) }
