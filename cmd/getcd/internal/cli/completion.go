package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/getcd/getcd/cmd/getcd/internal/output"
)

func (a *app) completionCommand() *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:   "completion [" + strings.Join(shells, "|") + "]",
		Short: "Print a script that has a shell complete getcd's commands and flags",
		Long: `Print a script that has a shell complete getcd's commands and flags.

For the shell that runs:
  bash        $ source <(getcd completion bash)
  zsh         $ source <(getcd completion zsh)
  fish        $ getcd completion fish | source
  PowerShell  PS> getcd completion powershell | Out-String | Invoke-Expression

For each shell to come, save the script where the shell looks for it:
  bash        $ getcd completion bash > /etc/bash_completion.d/getcd
  zsh         $ getcd completion zsh > "${fpath[1]}/_getcd"
  fish        $ getcd completion fish > ~/.config/fish/completions/getcd.fish
  PowerShell  PS> getcd completion powershell > getcd.ps1    (to be sourced by the profile)

bash needs the package bash-completion, zsh needs compinit.`,
		GroupID:               groupUtility,
		DisableFlagsInUseLine: true,
		ValidArgs:             shells,
		Args:                  cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(a.Out, true)
			case "zsh":
				return root.GenZshCompletion(a.Out)
			case "fish":
				return root.GenFishCompletion(a.Out, true)
			default:
				return root.GenPowerShellCompletionWithDesc(a.Out)
			}
		},
	}
}

// completeGlobalFlags has shells complete the values of the flags that every
// command has.
func completeGlobalFlags(root *cobra.Command) {
	complete(root, "write-out", output.Formats()...)
	complete(root, "trace", traceFormats()...)
}

// complete has shells complete a flag's value with one of values. The flag must
// exist, or there is nothing to complete.
func complete(cmd *cobra.Command, flag string, values ...string) {
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}
