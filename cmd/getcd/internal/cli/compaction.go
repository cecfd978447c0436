package cli

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/getcd/getcd/cmd/getcd/internal/output"
	"github.com/getcd/getcd/kv"
)

func (a *app) compactionCommand() *cobra.Command {
	var physical bool
	cmd := &cobra.Command{
		Use:     "compaction [options] <revision>",
		Short:   "Forget the history before a revision",
		GroupID: groupKV,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := nArgs("compaction", args, "a revision"); err != nil {
				return err
			}
			rev, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil {
				return fmt.Errorf("bad revision %q: want a number", args[0])
			}
			var opts []kv.CompactOption
			if physical {
				opts = append(opts, kv.WithCompactPhysical())
			}
			return a.once(cmd, output.Any, func(ctx context.Context, s *session) error {
				if _, err := s.Compact(ctx, rev, opts...); err != nil {
					return err
				}
				_, err := fmt.Fprintln(a.Out, "compacted revision", rev)
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&physical, "physical", false, "wait until the member that answers has removed the old revisions from its database")
	return cmd
}
