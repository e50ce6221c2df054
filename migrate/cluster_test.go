//go:build cluster

package migrate_test

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/testserver"
	"github.com/authgraph/authgraph/migrate"
)

// Starting three servers takes longer than a test may: make cluster runs these.

func TestGaleraNodesThatApplyAtOnceWaitForOne(t *testing.T) {
	galera, err := testserver.StartGalera(t.Context(), 3, t.Output())
	require.NoError(t, err)
	t.Cleanup(galera.Stop)
	var urls []string
	for _, m := range galera.Members {
		urls = append(urls, m.URL)
	}
	applyOnEach(t, urls)
	takesOver(t, urls[1])
}

func TestPrimariesThatApplyAtOnceWaitForOne(t *testing.T) {
	group, err := testserver.StartGroup(t.Context(), 3, testserver.GroupOptions{MultiPrimary: true}, t.Output())
	require.NoError(t, err)
	t.Cleanup(group.Stop)
	var urls []string
	for _, m := range group.Members {
		urls = append(urls, m.URL)
	}
	applyOnEach(t, urls)
}

func applyOnEach(t *testing.T, urls []string) {
	t.Helper()
	for round := range 5 {
		name := fmt.Sprint("shop", round)
		onServer(t, urls[0], "CREATE DATABASE "+name)
		for _, url := range urls {
			require.Eventually(t, func() bool { return tryOnServer(url, "USE "+name) == nil }, 10*time.Second,
				10*time.Millisecond, "the database is on each server")
		}
		reports := make([]*migrate.Report, len(urls))
		errs := make([]error, len(urls))
		var group sync.WaitGroup
		for i, url := range urls {
			group.Go(func() { reports[i], errs[i] = migrate.Apply(t.Context(), url+name, migrate.ApplyOptions{}) })
		}
		group.Wait()
		applied := 0
		for i, err := range errs {
			require.NoError(t, err, "round %d, server %d", round, i+1)
			applied += len(reports[i].Applied)
		}
		status, err := migrate.ReadStatus(t.Context(), urls[1]+name, migrate.StatusOptions{})
		require.NoError(t, err)
		assert.Empty(t, status.Pending)
		assert.Equal(t, len(status.Applied), applied, "each file is applied once")
	}
}

// A process that was killed leaves its claim behind, which nobody counts up.
func takesOver(t *testing.T, url string) {
	t.Helper()
	onServer(t, url, "CREATE DATABASE deserted")
	_, err := migrate.Apply(t.Context(), url+"deserted", migrate.ApplyOptions{To: "20261123174317"})
	require.NoError(t, err)
	onServer(t, url, `INSERT INTO deserted.atlas_schema_revisions (version, description, executed_at, execution_time, hash,
		operator_version) VALUES ('.authgraph_claim', 'one that was killed', NOW(), 0, '', 'authgraph')`)
	var locked *migrate.LockError
	_, err = migrate.Apply(t.Context(), url+"deserted", migrate.ApplyOptions{LockTimeout: time.Second})
	require.ErrorAs(t, err, &locked)
	_, err = migrate.Apply(t.Context(), url+"deserted", migrate.ApplyOptions{})
	require.NoError(t, err)
}

func onServer(t *testing.T, url, statement string) {
	t.Helper()
	require.NoError(t, tryOnServer(url, statement))
}

func tryOnServer(url, statement string) error {
	config, err := testserver.Config(url)
	if err != nil {
		return err
	}
	db, err := sql.Open("mysql", config.FormatDSN())
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(context.Background(), statement)
	return err
}
