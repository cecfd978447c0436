package cli

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/cmd/getcd/internal/exit"
	"github.com/getcd/getcd/cmd/getcd/internal/output"
	"github.com/getcd/getcd/kv"
)

func (a *app) endpointCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "endpoint <subcommand>",
		Short:   "Endpoint related commands",
		GroupID: groupCluster,
	}
	var cluster bool
	clusterFlag(cmd.PersistentFlags(), &cluster)
	var revision int64
	hashkv := &cobra.Command{
		Use:   "hashkv",
		Short: "Show a hash of the endpoints' keys and their history",
		Long: `Show a hash of the endpoints' keys and their history.

Members that were compacted at the same revision have the same hash at the same
revision. In the simple format the columns are endpoint, hash, and the revision
up to which it was made.`,
		Args: onlyEndpoints,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.endpointHashKV(cmd, &cluster, &revision)
		},
	}
	hashkv.PersistentFlags().Int64Var(&revision, "rev", 0, "revision to hash up to; 0 means the latest")
	cmd.AddCommand(
		hashkv,
		&cobra.Command{
			Use:   "health",
			Short: "Check that the endpoints answer and can reach the leader",
			Args:  onlyEndpoints,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return a.endpointHealth(cmd, &cluster)
			},
		},
		&cobra.Command{
			Use:   "status",
			Short: "Show the status of the endpoints",
			Long: `Show the status of the endpoints.

In the simple format the columns are endpoint, member ID, version, storage
version, database size, size in use, percentage not in use, quota, is leader, is
learner, raft term, raft index, raft applied index, errors, downgrade target
version, and whether a downgrade is enabled.`,
			Args: onlyEndpoints,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return a.endpointStatus(cmd, &cluster)
			},
		},
	)
	return cmd
}

func clusterFlag(fs *pflag.FlagSet, cluster *bool) {
	fs.BoolVar(cluster, "cluster", false, "ask all members of the cluster, at the addresses in the member list")
}

func (a *app) endpointHealth(cmd *cobra.Command, cluster *bool) error {
	s, p, err := a.endpointSettings(cmd, output.Endpoints)
	if err != nil {
		return err
	}
	probes, err := s.probes(cmd.Context(), *cluster)
	if err != nil {
		return err
	}
	found := ask(cmd.Context(), s, probes, func(ctx context.Context, c *client.Client, _ string) (output.EndpointHealth, error) {
		return health(ctx, c), nil
	})
	all := make([]output.EndpointHealth, 0, len(found))
	for i, f := range found {
		if f.err != nil {
			f.value.Error = f.err.Error()
		}
		f.value.Endpoint = probes[i].name
		all = append(all, f.value)
	}
	if err := p.EndpointHealth(all); err != nil {
		return err
	}
	for _, h := range all {
		if h.Error != "" {
			return errors.New("unhealthy cluster")
		}
	}
	return nil
}

// health reads a key through the leader. Which key does not matter, nor whether
// the user may see it: the answer shows that the member takes part.
func health(ctx context.Context, c *client.Client) output.EndpointHealth {
	start := time.Now()
	_, err := c.Do(ctx, kv.OpGet("health"))
	h := output.EndpointHealth{Took: time.Since(start).String()}
	if err != nil && !errors.Is(err, rpctypes.ErrPermissionDenied) {
		h.Error = err.Error()
		return h
	}
	r, err := pb.NewMaintenanceClient(c.Conn()).Alarm(ctx, &pb.AlarmRequest{
		Action: pb.AlarmRequest_GET, Alarm: pb.AlarmType_NONE,
	})
	switch {
	case err != nil:
		h.Error = "Unable to fetch the alarm list"
	case len(r.GetAlarms()) > 0:
		h.Error = "Active Alarm(s): "
		for _, alarm := range r.GetAlarms() {
			switch alarm.GetAlarm() {
			case pb.AlarmType_NOSPACE, pb.AlarmType_CORRUPT:
				h.Error += alarm.GetAlarm().String() + " "
			default:
				h.Error += "UNKNOWN "
			}
		}
	}
	h.Health = h.Error == ""
	return h
}

func (a *app) endpointStatus(cmd *cobra.Command, cluster *bool) error {
	return askAll(a, cmd, cluster, "status",
		func(ctx context.Context, c *client.Client, name string) (output.EndpointStatus, error) {
			r, err := pb.NewMaintenanceClient(c.Conn()).Status(ctx, &pb.StatusRequest{})
			return output.EndpointStatus{Endpoint: name, Status: r}, err
		}, output.Printer.EndpointStatus)
}

func (a *app) endpointHashKV(cmd *cobra.Command, cluster *bool, revision *int64) error {
	return askAll(a, cmd, cluster, "hash",
		func(ctx context.Context, c *client.Client, name string) (output.EndpointHashKV, error) {
			r, err := pb.NewMaintenanceClient(c.Conn()).HashKV(ctx, &pb.HashKVRequest{Revision: *revision})
			return output.EndpointHashKV{Endpoint: name, HashKV: r}, err
		}, output.Printer.EndpointHashKV)
}

// askAll asks each endpoint and prints what those have answered that could be asked.
// cluster is looked at when the settings, which the environment may decide, are known.
func askAll[T any](a *app, cmd *cobra.Command, cluster *bool, what string,
	question func(ctx context.Context, c *client.Client, name string) (T, error), show func(output.Printer, []T) error,
) error {
	s, p, err := a.endpointSettings(cmd, output.Endpoints)
	if err != nil {
		return err
	}
	probes, err := s.probes(cmd.Context(), *cluster)
	if err != nil {
		return err
	}
	found := ask(cmd.Context(), s, probes, question)
	var all []T
	var failure error
	for i, f := range found {
		if f.err != nil {
			failure = f.err
			say(a.Err, "Failed to get the %s of endpoint %s (%v)\n", what, probes[i].name, f.err)
			continue
		}
		all = append(all, f.value)
	}
	if err := show(p, all); err != nil {
		return err
	}
	return told(failure)
}

// told is the error after failures of endpoints, which were printed; failure is the last one.
// It has a status of its own if the login has failed.
//
//go:noinline
func told(failure error) error {
	if failure == nil {
		return nil
	}
	code := exit.Code(failure)
	if code != exit.BadConnection {
		code = exit.Failure
	}
	return &exit.Error{Code: code}
}

func (a *app) endpointSettings(cmd *cobra.Command, k output.Kind) (*settings, output.Printer, error) {
	s, err := a.settings(cmd)
	if err != nil {
		return nil, nil, err
	}
	p, err := s.printer(k, false)
	return s, p, err
}

// probe is one endpoint that is asked by itself.
type probe struct {
	// name is the endpoint as the user reads it.
	name string
	// target is the URI to make the client of.
	target string
	// only, when not empty, is the one of target's addresses to connect to.
	only string
	// err is why the endpoint cannot be asked.
	err error
}

// probes lists the endpoints to ask: those that the flags name, or the client
// URLs of all members.
func (s *settings) probes(ctx context.Context, cluster bool) ([]probe, error) {
	targets := s.flags.targets()
	// A mistake in the flags is no finding about an endpoint. And the time is not for typing
	// the password.
	if _, err := s.flags.config(targets, io.Discard, s.password); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.flags.commandTimeout)
	defer cancel()
	if cluster {
		urls, err := s.memberURLs(ctx, targets)
		if err != nil {
			return nil, exit.Errorf(exit.Failure, "cannot read the endpoints from the member list: %w", err)
		}
		targets = urls
	}
	var out []probe
	for _, t := range targets {
		if !strings.HasPrefix(t, "dns:") && !strings.HasPrefix(t, "dns+srv:") {
			out = append(out, probe{name: t, target: t})
			continue
		}
		addrs, err := s.addresses(ctx, t)
		if err != nil {
			out = append(out, probe{name: t, err: err})
			continue
		}
		for _, addr := range addrs {
			out = append(out, probe{name: addr, target: t, only: addr})
		}
	}
	return out, nil
}

func (s *settings) memberURLs(ctx context.Context, targets []string) ([]string, error) {
	c, err := s.dial(ctx, targets)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }() // has no error to return
	r, err := pb.NewClusterClient(c.Conn()).MemberList(ctx, &pb.MemberListRequest{Linearizable: true})
	if err != nil {
		return nil, err
	}
	var urls []string
	for _, m := range r.GetMembers() {
		urls = append(urls, m.GetClientURLs()...)
	}
	return urls, nil
}

// addresses resolves a URI that may stand for several members.
func (s *settings) addresses(ctx context.Context, target string) ([]string, error) {
	c, err := dial(s.flags, []string{target}, s.Err, s.password)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }() // has no error to return
	for {
		changed := c.EndpointsChanged()
		var addrs []string
		for _, e := range c.Endpoints() {
			if !slices.Contains(addrs, e.Address) { // a single one is there twice
				addrs = append(addrs, e.Address)
			}
		}
		if len(addrs) > 0 {
			return addrs, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, c.WaitReady(ctx) // it knows why
		}
	}
}

// finding is what one probe brought home.
type finding[T any] struct {
	value T
	err   error
}

// ask runs question, which is told the endpoint's name, on all probes at once, each on a
// client of its own and within the command's time. The findings are in the order of the probes.
func ask[T any](ctx context.Context, s *settings, probes []probe, question func(ctx context.Context, c *client.Client, name string) (T, error)) []finding[T] {
	found := make([]finding[T], len(probes))
	var wg sync.WaitGroup
	for i, p := range probes {
		// One after the other, as the first may ask for the password.
		c, err := s.dialProbe(ctx, p)
		if err != nil {
			found[i].err = err
			continue
		}
		wg.Go(func() {
			defer func() { _ = c.Close() }() // has no error to return
			ctx, cancel := context.WithTimeout(ctx, s.flags.commandTimeout)
			defer cancel()
			found[i].value, found[i].err = question(ctx, c, p.name)
		})
	}
	wg.Wait()
	return found
}

// dialProbe makes a client of the probe's endpoint alone.
func (s *settings) dialProbe(ctx context.Context, p probe) (*client.Client, error) {
	if p.err != nil {
		return nil, p.err
	}
	return s.dial(ctx, []string{p.target}, func(cfg *client.Config) { cfg.Resolver.Only = p.only })
}
