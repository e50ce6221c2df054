// Command authgraph installs, migrates, inspects and checks the auth graph:
//
//	authgraph --help
package main

import (
	"os"

	"github.com/authgraph/authgraph/internal/cli"
)

func main() { os.Exit(cli.Run(os.Args[1:], os.Stdout, os.Stderr)) }
