package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/getcd/getcd/cmd/getcd/internal/exit"
)

// misspelled is how many letters may be wrong in a word that is taken for another.
const misspelled = 2

// refuseUnknown makes commands that have only subcommands refuse others. Without this,
// cobra prints their help, as if that had been asked for.
func refuseUnknown(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		refuseUnknown(sub)
	}
	if !cmd.HasSubCommands() || cmd.Runnable() {
		return
	}
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return unknownCommand(cmd, args[0])
		}
		return cmd.Help()
	}
}

// refuseUnknownHelp does the same for the help command, which otherwise succeeds.
func refuseUnknownHelp(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() != "help" {
			continue
		}
		show := cmd.Run
		cmd.Run, cmd.RunE = nil, func(cmd *cobra.Command, args []string) error {
			if of, rest, err := root.Find(args); err == nil && of.HasSubCommands() && len(rest) > 0 {
				return unknownCommand(of, rest[0])
			}
			show(cmd, args)
			return nil
		}
	}
}

// unknownCommand is the error for a subcommand that parent does not have.
func unknownCommand(parent *cobra.Command, name string) error {
	parent.SuggestionsMinimumDistance = misspelled
	err := fmt.Errorf("unknown command %q for %q%s", name, parent.CommandPath(), didYouMean(parent.SuggestionsFor(name)))
	return pointToHelp(parent, err)
}

// flagError rewrites pflag's errors so that they say what would be right, and points
// to the help.
func flagError(cmd *cobra.Command, err error) error {
	if cmd.HasSubCommands() && cmd.Flags().NArg() > 0 {
		return unknownCommand(cmd, cmd.Flags().Arg(0)) // the flag is that command's
	}
	if v, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		err = badValue("--"+v.GetFlag().Name, v.GetValue(), v.GetFlag())
	}
	if e, ok := errors.AsType[*pflag.NotExistError](err); ok && e.GetSpecifiedShortnames() == "" {
		err = fmt.Errorf("%w%s", err, didYouMean(similarFlags(cmd, e.GetSpecifiedName())))
	}
	return pointToHelp(cmd, err)
}

func pointToHelp(cmd *cobra.Command, err error) error {
	return fmt.Errorf("%w\nRun '%s --help' for usage", err, cmd.CommandPath())
}

func didYouMean(names []string) string {
	if len(names) == 0 {
		return ""
	}
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = fmt.Sprintf("%q", name)
	}
	return ": did you mean " + strings.Join(quoted, " or ") + "?"
}

// similarFlags returns the flags of cmd that are most similar to name: those that begin
// with it, or else those with the fewest other letters.
func similarFlags(cmd *cobra.Command, name string) (similar []string) {
	least := min(misspelled, len(name)-1)
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		d := distance(name, f.Name)
		if strings.HasPrefix(f.Name, name) && len(name) > misspelled {
			d = 0
		}
		if d < least {
			least, similar = d, nil
		}
		if d == least {
			similar = append(similar, "--"+f.Name)
		}
	})
	return similar
}

// distance is Levenshtein's: how many letters must be put in, left out or replaced to
// make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

// noArguments is the Args of commands that take none.
func noArguments(cmd *cobra.Command, args []string) error {
	return noArgs(strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" "), args)
}

// onlyEndpoints is the Args of commands that are done to --endpoints, and take no
// arguments: one that is given is likely to be an endpoint.
func onlyEndpoints(cmd *cobra.Command, args []string) error {
	if err := noArguments(cmd, args); err != nil {
		return exit.Errorf(exit.BadArgs, "%w: name the endpoints by --endpoints=%s", err, strings.Join(args, ","))
	}
	return nil
}
