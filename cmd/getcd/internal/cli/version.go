package cli

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/api/v3/version"
)

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the versions of getcd and of etcd's API",
		GroupID: groupUtility,
		Args:    noArguments,
		RunE: func(*cobra.Command, []string) error {
			own := "unknown"
			if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
				own = info.Main.Version
			}
			_, err := fmt.Fprintf(a.Out, "getcd version: %s\nAPI version: %s\n", own, version.APIVersion)
			return err
		},
	}
}
