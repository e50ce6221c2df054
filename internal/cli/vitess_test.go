//go:build cluster

package cli_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/cli"
	"github.com/authgraph/authgraph/internal/testserver"
)

// Building vtcombo takes minutes: make vitess runs this.
func TestVitessTakesTheCommands(t *testing.T) {
	for name, shards := range map[string]int{"unsharded": 1, "two shards": 2} {
		t.Run(name, func(t *testing.T) {
			vitess, err := testserver.StartVitess(t.Context(), shards, t.Output())
			require.NoError(t, err)
			t.Cleanup(vitess.Stop)
			run := func(args ...string) string {
				var stdout, stderr bytes.Buffer
				address := vitess.Members[0].URL + testserver.VitessKeyspace
				code := cli.Run(append(args, "--url", address), &stdout, &stderr)
				assert.Zero(t, code, "%v: %s", args, &stderr)
				return stdout.String()
			}
			assert.Contains(t, run("migrate", "apply", "--dir", "../../migrate"), "applied ")
			assert.Contains(t, run("migrate", "apply", "--dir", "../../migrate"), "nothing to apply")
			assert.Contains(t, run("migrate", "status", "--dir", "../../migrate"), "up to date")
			walked := run("demo")
			if shards > 1 {
				assert.Contains(t, walked, "left out: Vitess deletes no user in the transaction that made it")
			} else {
				assert.Contains(t, walked, "sessions left: 0")
			}
			assert.Contains(t, run("purge"), "users")
			assert.NotContains(t, strings.ToLower(run("doctor", "--dir", "../../migrate")), "internal error")
		})
	}
}
