package authtest_test

import (
	"testing"

	"github.com/authgraph/authgraph"
	"github.com/authgraph/authgraph/auth/authtest"
	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/migrate"
)

// Run belongs into a test of the program that has the database.
func ExampleRun() {
	var t *testing.T // of the test

	authtest.Run(t, func(t *testing.T) *ent.Client {
		url := "sqlite://" + t.TempDir() + "/app.db" // or a fresh database of your server
		if _, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{}); err != nil {
			t.Fatal(err)
		}
		client, err := authgraph.Open(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = client.Close() })
		return client
	}, authtest.Repeat(1))
}
