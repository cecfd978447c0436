package cli

import (
	"context"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/cmd/getcd/internal/demo"
	"github.com/getcd/getcd/cmd/getcd/internal/exit"
)

func (a *app) demoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Show the main job on a real cluster: discover, use, lock, survive",
		Long: `Show the main job on a real cluster, and measure it.

Without flags the demo starts three etcd members and a DNS server on loopback,
and needs nothing else: it discovers them, uses them, kills them and moves them.
With --endpoints or --discovery-srv it does what it can on that cluster, below a
prefix of its own, and breaks nothing.

The last line says how many steps passed and how many failed; the exit status
is 1 when any failed.`,
		GroupID: groupUtility,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := a.settings(cmd)
			if err != nil {
				return err
			}
			// An interrupted demo must not leave members behind.
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			o := demo.Options{Out: a.Out}
			if flags := cmd.InheritedFlags(); flags.Changed("endpoints") || flags.Changed("discovery-srv") {
				o.Dial = func(ctx context.Context) (*client.Client, error) { return s.dial(ctx, s.flags.targets()) }
			}
			_, failed, err := demo.Run(ctx, o)
			if err != nil {
				return err
			}
			if failed > 0 {
				return &exit.Error{Code: exit.Failure} // the steps have said what failed
			}
			return ctx.Err()
		},
	}
}
