package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/faultbench/internal/report"
)

// Run applies every fault to every role, one after another, on one cluster. The
// program must call cluster.Main first. If ctx ends, or if something goes wrong
// that no fault explains, the report has what was measured until then.
func Run(ctx context.Context, cfg Config) (rep *report.Report, err error) {
	cfg, err = cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	var to target
	var files *cluster.TLSFiles
	if cfg.Secure {
		secure, err := newSecurity()
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, secure.close()) }()
		to.tls, files = secure.clients, secure.members
	}
	// Large values fill the database, which a restarted member reads completely,
	// and members keep the entries between snapshots in memory.
	var quota int64
	var flags []string
	if cfg.MostValue > 0 {
		quota = 16 << 30
		flags = []string{"--max-request-bytes=4194304", "--snapshot-count=100", "--snapshot-catchup-entries=100", "--auto-compaction-mode=periodic", "--auto-compaction-retention=1m"}
	}
	c, err := cluster.Start(ctx, cluster.Config{
		ClientTLS:         files,
		Disks:             cluster.DisksSupported() == nil, // for all faults alike, so that numbers can be compared
		Size:              cfg.Size,
		Links:             true,
		QuotaBytes:        quota,
		Flags:             flags,
		ElectionTimeout:   cfg.ElectionTimeout.Truncate(10 * time.Millisecond),
		HeartbeatInterval: cfg.ElectionTimeout.Truncate(10*time.Millisecond) / 10,
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()

	status, err := pb.NewMaintenanceClient(c.Members()[0].Control()).Status(ctx, &pb.StatusRequest{})
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	rep = &report.Report{Setup: report.Setup{
		Etcd:            status.Version,
		Go:              runtime.Version(),
		System:          runtime.GOOS + "/" + runtime.GOARCH,
		CPUs:            runtime.NumCPU(),
		Members:         cfg.Size,
		Secure:          cfg.Secure,
		Seed:            cfg.Seed,
		ElectionTimeout: report.Seconds(cfg.ElectionTimeout),
		FaultTime:       report.Seconds(cfg.FaultTime),
		Recovery:        report.Seconds(cfg.Recovery),
		Workers:         cfg.Workers,
		Pace:            report.Seconds(cfg.Pace),
		Deadline:        report.Seconds(cfg.Deadline),
	}}
	if cfg.Secure {
		// It is enabled as long as the cluster lives.
		whole := &stage{cluster: c, target: to}
		if err := enableAuth(ctx, whole); err != nil {
			return nil, fmt.Errorf("bench: %w", err)
		}
		to = whole.target
	}
	plan := cells(cfg)
	for i := range plan {
		_, _ = fmt.Fprintf(cfg.Progress, "%d of %d: %s\n", i+1, len(plan), plan[i].name())
		plan[i].seed = cfg.Seed + uint64(i)
		plan[i].prefix = fmt.Sprintf("faultbench/%d", i)
		result, err := plan[i].run(ctx, c, to)
		if err != nil {
			return rep, fmt.Errorf("bench: %s: %w", plan[i].name(), err)
		}
		rep.Cells = append(rep.Cells, *result)
	}
	return rep, nil
}

// cells returns what to measure, in the order of the lists.
func cells(cfg Config) []cell {
	var chosen, alone []kind
	for _, k := range kinds() {
		switch {
		case !slices.Contains(cfg.Kinds, k.name):
		case k.alone:
			alone = append(alone, k)
		default:
			chosen = append(chosen, k)
		}
	}
	if cfg.Random > 0 && len(chosen) == 0 {
		return nil
	}
	if cfg.Random > 0 {
		return []cell{{cfg: cfg, fault: randomly(random(cfg), cfg.Seed), kinds: chosen}}
	}
	var groups [][]kind
	if len(chosen) > 0 {
		groups = [][]kind{chosen}
	}
	if cfg.Apart {
		groups = nil
		for _, k := range chosen {
			groups = append(groups, []kind{k})
		}
	}
	var plan []cell
	for _, f := range faults() {
		if !slices.Contains(cfg.Faults, f.name) {
			continue
		}
		roles := cfg.Roles
		if f.whole {
			roles = []string{""}
		}
		for _, role := range roles {
			for _, group := range groups {
				plan = append(plan, cell{cfg: cfg, fault: f, role: role, kinds: group})
			}
			if !f.silent && f.name != "kill" {
				continue
			}
			for _, k := range alone {
				one := cell{cfg: cfg, fault: f, role: role, kinds: []kind{k}}
				one.cfg.Apart, one.cfg.Workers = true, 1
				plan = append(plan, one)
			}
		}
	}
	return plan
}
