package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/getcd/getcd/cmd/getcd/internal/exit"
)

// Streams are where a command reads and writes.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// app is one run of the tool.
type app struct {
	Streams

	environ     []string
	askPassword func(prompt io.Writer) (string, error)

	flags globalFlags
	asked *string // the password, once it was asked for
}

// Run runs the command that args name (without the program's own name) and
// returns the exit status. environ is the environment as os.Environ has it.
//
// Errors are printed on streams.Err, on one line that starts with "Error: ".
// Run returns when ctx ends, if not before, with everything it started ended.
func Run(ctx context.Context, args []string, streams Streams, environ []string) int {
	a := &app{Streams: streams, environ: environ, askPassword: askPassword}
	return a.run(ctx, args)
}

func (a *app) run(ctx context.Context, args []string) int {
	root := a.root() //nolint:contextcheck // cobra hands the context of ExecuteContext to the commands
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	a.flags.closeTrace()
	if said, ok := errors.AsType[*exit.Error](err); err != nil && (!ok || said.Err != nil) {
		say(a.Err, "Error: %v\n", err)
	}
	return exit.Code(err)
}

const (
	groupKV          = "kv"
	groupCluster     = "cluster"
	groupConcurrency = "concurrency"

	groupAuthentication = "authentication"

	groupUtility = "utility"
)

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "getcd",
		Short: "getcd reads and changes what an etcd cluster holds",
		Long: `getcd reads and changes what an etcd cluster holds.

It takes etcdctl's commands, flags and ETCDCTL_… environment variables, and it
finds the members by any URI that the getcd library knows, such as
--endpoints dns+srv:///example.com.`,
		// Run prints the error, once, and never the usage text with it.
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetIn(a.In)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	root.SetFlagErrorFunc(flagError)
	a.flags.register(root.PersistentFlags())
	root.AddGroup(
		&cobra.Group{ID: groupKV, Title: "Key-value commands"},
		&cobra.Group{ID: groupCluster, Title: "Cluster maintenance commands"},
		&cobra.Group{ID: groupConcurrency, Title: "Concurrency commands"},
		&cobra.Group{ID: groupAuthentication, Title: "Authentication commands"},
		&cobra.Group{ID: groupUtility, Title: "Utility commands"},
	)
	root.SetHelpCommandGroupID(groupUtility)
	root.AddCommand(
		a.putCommand(), a.getCommand(), a.delCommand(), a.txnCommand(), a.watchCommand(), a.leaseCommand(),
		a.compactionCommand(), a.alarmCommand(), a.defragCommand(), a.moveLeaderCommand(), a.downgradeCommand(),
		a.authCommand(), a.userCommand(), a.roleCommand(),
		a.memberCommand(), a.endpointCommand(), a.snapshotCommand(),
		a.lockCommand(), a.electCommand(),
		a.makeMirrorCommand(), a.checkCommand(), a.completionCommand(),
		a.wireCommand(), a.versionCommand(), a.optionsCommand(root),
	)
	refuseUnknown(root)
	refuseUnknownHelp(root)
	completeGlobalFlags(root)
	hideGlobalFlags(root)
	return root
}

// hideGlobalFlags keeps every command's help short; the options command shows
// what it hides.
func hideGlobalFlags(root *cobra.Command) {
	root.PersistentFlags().VisitAll(func(f *pflag.Flag) { f.Hidden = true })
	help := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		help(cmd, args)
		say(cmd.OutOrStdout(), "Use \"getcd options\" for the flags that every command has.\n")
	})
}

func (a *app) optionsCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:     "options",
		Short:   "Show the flags that every command has",
		GroupID: groupUtility,
		Args:    noArguments,
		RunE: func(*cobra.Command, []string) error {
			shown := pflag.NewFlagSet("options", pflag.ContinueOnError)
			root.PersistentFlags().VisitAll(func(f *pflag.Flag) {
				f = new(*f)
				f.Hidden = false
				shown.AddFlag(f)
			})
			_, err := fmt.Fprintf(a.Out, "The following options can be passed to any command.\nEach has an environment variable too, such as %s for --%s:\n\n%s",
				envName("dial-timeout"), "dial-timeout", strings.TrimLeft(shown.FlagUsages(), "\n"))
			return err
		},
	}
}
