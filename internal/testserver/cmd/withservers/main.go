// Command withservers runs a command with a MySQL and a MariaDB server to test against.
//
//	go run ./internal/testserver/cmd/withservers -- go test ./...
package main

import (
	"os"

	"github.com/authgraph/authgraph/internal/testserver"
)

func main() {
	os.Exit(testserver.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
