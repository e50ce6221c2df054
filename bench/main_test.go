package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph"
	"github.com/authgraph/authgraph/auth"
	"github.com/authgraph/authgraph/bench/internal/load"
	"github.com/authgraph/authgraph/bench/internal/peers"
)

func TestACommandThatDoesNotExistIsRefusedWithThoseThatDo(t *testing.T) {
	t.Parallel()
	for code, calls := range map[int][][]string{2: {{}, {"nonsense"}, {"growht", "-rows", "10k"}},
		0: {{"-h"}, {"--help"}, {"purge", "-h"}}} {
		for _, args := range calls {
			var stderr bytes.Buffer
			assert.Equal(t, code, command(t.Context(), args, &stderr), "%q", args)
			if len(args) < 2 || code == 2 {
				assert.Contains(t, stderr.String(), "bench compare | growth | purge | migrations")
			}
		}
	}
}

func TestAReaderThatFailsIsReported(t *testing.T) {
	t.Parallel()
	client, err := authgraph.Open(t.Context(), "sqlite://"+t.TempDir()+"/bench.db")
	require.NoError(t, err)
	defer client.Close()
	svc, err := auth.New(client, peers.AuthConfig())
	require.NoError(t, err)
	_, err = read(t.Context(), svc, load.Of(1000, 0), 2, 1000)
	require.ErrorContains(t, err, "check a session: ")
	require.ErrorContains(t, err, "no such table")
}
