package english_test

import (
	"fmt"

	"github.com/authgraph/authgraph/internal/english"
)

func ExampleCount() {
	fmt.Println(english.Count(1, "query"))
	fmt.Println(english.Count(2, "query"))
	fmt.Println(english.Count(0, "index"))
	fmt.Println(english.Count(3, "row"))
	// Output:
	// 1 query
	// 2 queries
	// 0 indexes
	// 3 rows
}
