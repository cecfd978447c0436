package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/getcd/getcd/cmd/getcd/internal/exit"
	"github.com/getcd/getcd/cmd/getcd/internal/output"
	"github.com/getcd/getcd/cmd/getcd/internal/progress"
	"github.com/getcd/getcd/maintenance"
)

func (a *app) snapshotCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "snapshot <subcommand>",
		Short:   "Save a member's database",
		GroupID: groupCluster,
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "save <filename>",
		Short: "Save a member's database to a file that etcdutl can restore",
		Long: `Save a member's database to a file that 'etcdutl snapshot restore' makes a
cluster of. It is the database of the one member that --endpoints names.

The file appears, or takes the place of an older one, when it is complete, its
checksum has been verified, and it is on the disk. Only its owner may read it.

There is no time limit, unless --command-timeout is set.`,
		Example: `  getcd --endpoints 10.0.0.1:2379 snapshot save backup.db`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return exit.Errorf(exit.BadArgs, "snapshot save needs one argument, the name of the file; got %d", len(args))
			}
			return a.snapshotSave(cmd, args[0])
		},
	})
	return cmd
}

func (a *app) snapshotSave(cmd *cobra.Command, path string) error {
	s, err := a.settings(cmd)
	if err != nil {
		return err
	}
	p, err := output.New(output.Options{Format: s.flags.writeOut, Out: s.Out, Err: s.Err})
	if err != nil { // every format that exists will do, as the answer has none
		return exit.With(exit.BadFeature, err)
	}
	targets := s.flags.targets()
	if len(targets) != 1 {
		return exit.Errorf(exit.Interrupted, "a snapshot is of one member: give the endpoint of one, not %q", targets)
	}
	c, err := s.connect(cmd.Context(), p)
	if err != nil {
		return snapshotError(err)
	}
	defer c.close()

	ctx, stop := untilSignal(cmd.Context())
	defer stop(nil)
	if f := cmd.Flag("command-timeout"); f != nil && f.Changed {
		var cancel context.CancelFunc
		ctx, cancel = c.timeout(ctx)
		defer cancel()
	}
	if err := c.reach(ctx); err != nil {
		return outcome(ctx, snapshotError(err))
	}
	info, err := saveSnapshot(ctx, c, path)
	if err != nil {
		return outcome(ctx, snapshotError(err))
	}
	text := fmt.Sprintf("Snapshot saved at %s\n", path)
	if info.Version != "" { // servers before 3.6 do not tell
		text += fmt.Sprintf("Server version %s\n", info.Version)
	}
	_, err = fmt.Fprint(s.Out, text)
	return err
}

func saveSnapshot(ctx context.Context, c *session, path string) (maintenance.SnapshotInfo, error) {
	var bar *progress.Bar
	defer func() { bar.Finish() }()
	return maintenance.New(c.Conn()).SaveFile(ctx, path, maintenance.WithProgress(func(p maintenance.Progress) {
		total := p.Received + p.Remaining
		if bar == nil && p.Received == 0 {
			bar = progress.Start(c.settings.Err, total, progress.Bytes)
		}
		bar.Set(p.Received, total)
	}))
}

// snapshotError gives err etcdctl's exit status for a snapshot that failed,
// unless it is about the arguments.
func snapshotError(err error) error {
	if exit.Code(err) == exit.BadArgs {
		return err
	}
	return &exit.Error{Code: exit.Interrupted, Err: err}
}
