// Command getcd reads and changes what an etcd cluster holds. It takes
// etcdctl's commands, flags and environment variables, prints what etcdctl
// prints, and finds the members by any URI that the getcd library knows.
//
// The tool itself is package cli; see there for how it is built.
package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"github.com/getcd/getcd/cmd/getcd/internal/cli"
)

func main() {
	// The beginning of a command's name is enough, as it is for etcdctl.
	cobra.EnablePrefixMatching = true
	streams := cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
	os.Exit(cli.Run(context.Background(), os.Args[1:], streams, os.Environ()))
}
