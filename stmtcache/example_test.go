package stmtcache_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/go-sql-driver/mysql"

	"github.com/authgraph/authgraph/ent"
	_ "github.com/authgraph/authgraph/ent/runtime" // defaults and hooks
	"github.com/authgraph/authgraph/ent/user"
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/internal/testserver"
	"github.com/authgraph/authgraph/migrate"
	"github.com/authgraph/authgraph/stmtcache"
)

func Example() {
	dsn, drop := exampleDSN() // such as user:password@tcp(localhost:3306)/app?parseTime=true
	defer drop()
	config, err := mysql.ParseDSN(dsn)
	if err != nil {
		log.Fatal(err)
	}
	config.InterpolateParams = true
	connector, err := mysql.NewConnector(config)
	if err != nil {
		log.Fatal(err)
	}
	db := sql.OpenDB(stmtcache.New(connector, stmtcache.Options{}))
	defer db.Close()
	db.SetMaxOpenConns(1) // only so that the count below is that of this connection

	for i := range 3 {
		var n int
		if err := db.QueryRow("SELECT ? + 1", i).Scan(&n); err != nil {
			log.Fatal(err)
		}
	}
	var name string
	var executed int
	if err := db.QueryRow("SHOW SESSION STATUS LIKE 'Com_stmt_execute'").Scan(&name, &executed); err != nil {
		log.Fatal(err)
	}
	fmt.Println(executed, "of 3 were prepared")
	// Output: 2 of 3 were prepared
}

// An Ent client of any schema.
func Example_ent() {
	dsn, drop := exampleDSN()
	defer drop()
	config, err := mysql.ParseDSN(dsn)
	if err != nil {
		log.Fatal(err)
	}
	config.InterpolateParams = true
	connector, err := mysql.NewConnector(config)
	if err != nil {
		log.Fatal(err)
	}
	db := sql.OpenDB(stmtcache.New(connector, stmtcache.Options{}))
	client := ent.NewClient(ent.Driver(entsql.OpenDB(dialect.MySQL, db)))
	defer client.Close()

	ctx := context.Background()
	for _, email := range []string{"ada@example.com", "grace@example.com"} {
		client.User.Create().SetName("Ada").SetEmail(email).ExecX(ctx)
	}
	found, err := client.User.Query().Where(user.Email("grace@example.com")).Exist(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(found)
	// Output: true
}

// exampleDSN is that of a database with the tables of this project.
func exampleDSN() (dsn string, drop func()) {
	url, drop := mysqltest.ForExample()
	if _, err := migrate.Apply(context.Background(), url, migrate.ApplyOptions{}); err != nil {
		log.Fatal(err)
	}
	config, err := testserver.Config(url)
	if err != nil {
		log.Fatal(err)
	}
	return config.FormatDSN(), drop
}
