package peers_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"

	"github.com/go-sql-driver/mysql"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/mysqldialect"
	gormmysql "gorm.io/driver/mysql"
	"gorm.io/gorm"

	"github.com/authgraph/authgraph/bench/internal/peers/sqlcgen"
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/internal/testserver"
	"github.com/authgraph/authgraph/migrate"
	"github.com/authgraph/authgraph/stmtcache"
)

// The examples of package stmtcache with libraries that its module does not depend on.

// openExample is the beginning of each example, with a database that has the tables.
func openExample() (db *sql.DB, done func()) {
	url, drop := mysqltest.ForExample()
	if _, err := migrate.Apply(context.Background(), url, migrate.ApplyOptions{}); err != nil {
		log.Fatal(err)
	}
	config, err := testserver.Config(url) // or mysql.ParseDSN
	if err != nil {
		log.Fatal(err)
	}
	config.InterpolateParams = true
	connector, err := mysql.NewConnector(config)
	if err != nil {
		log.Fatal(err)
	}
	db = sql.OpenDB(stmtcache.New(connector, stmtcache.Options{}))
	db.SetMaxOpenConns(1) // only so that the count is that of this connection
	return db, func() {
		db.Close()
		drop()
	}
}

// printPrepared prints how many statements were executed that had been prepared.
func printPrepared(db *sql.DB) {
	var name string
	var executed int
	if err := db.QueryRow("SHOW SESSION STATUS LIKE 'Com_stmt_execute'").Scan(&name, &executed); err != nil {
		log.Fatal(err)
	}
	fmt.Println(executed, "of 3 were prepared")
}

func Example_stmtcacheWithGORM() {
	db, done := openExample()
	defer done()
	orm, err := gorm.Open(gormmysql.New(gormmysql.Config{Conn: db}), &gorm.Config{})
	if err != nil {
		log.Fatal(err)
	}
	for i := range 3 {
		var n int64
		if err := orm.Table("users").Where("email = ?", fmt.Sprint(i)).Count(&n).Error; err != nil {
			log.Fatal(err)
		}
	}
	printPrepared(db)
	// Output: 2 of 3 were prepared
}

func Example_stmtcacheWithSqlc() {
	db, done := openExample()
	defer done()
	queries := sqlcgen.New(db)
	for i := range 3 {
		if _, err := queries.FindUser(context.Background(), fmt.Sprint(i)); !errors.Is(err, sql.ErrNoRows) {
			log.Fatal(err)
		}
	}
	printPrepared(db)
	// Output: 2 of 3 were prepared
}

// Bun writes arguments into its texts. Let it write a text once, with question marks, and scan the rows.
func Example_stmtcacheWithBun() {
	db, done := openExample()
	defer done()
	orm := bun.NewDB(db, mysqldialect.New())
	text := orm.NewSelect().Table("users").Column("name").Where("email = ?", bun.Safe("?")).String()
	for i := range 3 {
		if _, err := names(orm, text, fmt.Sprint(i)); err != nil {
			log.Fatal(err)
		}
	}
	printPrepared(db)
	// Output: 2 of 3 were prepared
}

func names(orm *bun.DB, text string, args ...any) (all []string, err error) {
	rows, err := orm.DB.QueryContext(context.Background(), text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	err = errors.Join(orm.ScanRows(context.Background(), rows, &all), rows.Err())
	return all, err
}
