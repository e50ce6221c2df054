package cli_test

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/schemadoc"
	"github.com/authgraph/authgraph/internal/schemadoctest"
)

// eachSize runs fn on the page of our 5 tables, and on those of a shop's 16 and 100.
func eachSize(b *browser, fn func(tables int)) {
	b.t.Helper()
	ours := b.page
	defer func() { b.page = ours }()
	fn(5)
	for _, n := range []int{16, schemadoctest.Most} {
		b.page = shopPage(b.t, n)
		fn(n)
	}
}

func shopPage(t *testing.T, tables int) string {
	t.Helper()
	page, err := schemadoc.HTML(schemadoc.Page{Title: "shop", Source: "live database", Database: "MySQL",
		Release: "9.7.4", Version: "v1", Schema: schemadoctest.Shop(tables)})
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "shop.html")
	require.NoError(t, os.WriteFile(path, page, 0o600))
	return (&url.URL{Scheme: "file", Path: path}).String()
}

const (
	// cut are the tables that are not wholly in the window of the graph.
	cut = `(() => {
		const f = document.querySelector(".frame").getBoundingClientRect();
		return [...document.querySelectorAll(".entity")].filter((e) => {
			const c = e.getBoundingClientRect();
			return c.left < f.left || c.right > f.right || c.top < f.top || c.bottom > f.bottom;
		}).length;
	})()`
	// scale is the size of the graph.
	scale = `Number.parseInt(document.querySelector(".zoom output").textContent)`
	// wide are the parts of the page that are cut at its right edge, but for what scrolls in a box of its own.
	wide = `[...document.querySelectorAll("body *")].filter((e) => {
		if (e.closest("svg") || !e.checkVisibility() || e.matches(".skip")) return false;
		for (let box = e.parentElement; box !== document.body; box = box.parentElement) {
			if (getComputedStyle(box).overflowX !== "visible") return false;
		}
		return e.getBoundingClientRect().right > innerWidth + 0.5;
	}).map((e) => e.tagName + "." + e.className).join()`
	// live is whether the script has run.
	live   = `document.body.classList.contains("live")`
	middle = `(() => {
		const f = document.querySelector(".frame").getBoundingClientRect();
		return [f.left + f.width / 2, f.top + f.height / 2];
	})()`
)

func pageFitsItsWindowAndIsZoomed(t *testing.T, b *browser) {
	b.do(chromedp.EmulateViewport(1440, 900))
	eachSize(b, func(tables int) {
		b.visit("")
		b.eval(`document.querySelectorAll(".entity").length`, float64(tables))
		b.eval(cut, 0.0)
		b.eval(`document.querySelector(".frame").getBoundingClientRect().bottom <= innerHeight`, true)
		b.picture(fmt.Sprint("graph", tables))
		b.eval(`document.querySelector("[data-zoom=out]").disabled`, true)
		whole := evaluate[float64](b, scale)
		for range 2 {
			b.click("[data-zoom=in]")
		}
		b.eval(scale+` > `+fmt.Sprint(whole*1.4), true)
		b.click("[data-zoom=out]")
		b.eval(scale+` < `+fmt.Sprint(whole*1.4), true)
		b.click("[data-zoom=fit]")
		b.eval(cut, 0.0)
		b.eval(scale, whole)

		b.eval(`document.querySelector(".frame").focus(), document.activeElement.className`, "frame")
		for range 8 {
			b.press("+")
		}
		b.eval(cut+` > 0`, true)
		at := evaluate[string](b, `document.querySelector(".graph").getAttribute("viewBox")`)
		b.press(kb.ArrowRight)
		b.press(kb.ArrowDown)
		b.eval(`document.querySelector(".graph").getAttribute("viewBox") !== "`+at+`"`, true)
		b.press("0")
		b.eval(scale, whole)
	})
	assert.Empty(t, b.complaints())
}

func pageIsZoomedByWheelAndMovedByDragging(t *testing.T, b *browser) {
	b.do(chromedp.EmulateViewport(1440, 900))
	b.page = shopPage(t, schemadoctest.Most)
	b.visit("")
	whole := evaluate[float64](b, scale)
	at := evaluate[[]float64](b, `(() => {
		const r = document.querySelector(".entity[data-table=orders] .card").getBoundingClientRect();
		return [r.left + r.width / 2, r.top + r.height / 2];
	})()`)
	mouse := func(p input.DispatchMouseEventParams) {
		p.X, p.Y = p.X+at[0], p.Y+at[1]
		call(b, input.DispatchMouseEvent, p)
	}
	wheel := input.DispatchMouseEventParams{Type: input.DispatchMouseEventTypeMouseWheel, DeltaX: 1, DeltaY: 100}
	mouse(wheel)
	b.eval(`scrollY > 0`, true) // the page scrolls, and the graph stays
	b.eval(scale, whole)
	b.eval(`scrollTo(0, 0), scrollY`, 0.0)
	wheel.Modifiers, wheel.DeltaY = 2, -50
	for range 3 {
		mouse(wheel)
	}
	b.eval(scale+` > `+fmt.Sprint(whole*3), true)
	b.eval(`scrollY`, 0.0)
	const under = `document.elementFromPoint(%g, %g).closest(".entity")?.dataset.table`
	b.eval(fmt.Sprintf(under, at[0], at[1]), "orders") // what the pointer is on stays there

	button := input.DispatchMouseEventParams{Type: input.DispatchMouseEventTypeMousePressed, Button: "left", Buttons: 1,
		ClickCount: 1}
	mouse(button)
	button.Type, button.X, button.Y = input.DispatchMouseEventTypeMouseMoved, 30, 20
	mouse(button)
	button.X, button.Y = 60, 40
	mouse(button)
	button.Type, button.Buttons = input.DispatchMouseEventTypeMouseReleased, 0
	mouse(button)
	b.eval(fmt.Sprintf(under, at[0]+60, at[1]+40), "orders")
	b.eval(`location.hash`, "") // it was no click
	mouse(input.DispatchMouseEventParams{Type: input.DispatchMouseEventTypeMouseMoved, X: 60, Y: 40})
	b.eval(`[...document.querySelectorAll(".entity.near")].map((e) => e.dataset.table).sort().join(" ")`,
		"addresses coupons gift_card_uses invoices loyalty_moves order_items orders payments returns shipments "+
			"tickets users")
	assert.Empty(t, b.complaints())
}

// slash presses the key, without the character that a browser leaves out where a page takes the key for itself.
func slash(b *browser) {
	b.t.Helper()
	call(b, input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeRawKeyDown, Key: "/"})
}

func pageFindsTablesAndColumns(t *testing.T, b *browser) {
	b.do(chromedp.EmulateViewport(1440, 900))
	const listed = `[...document.querySelectorAll("nav [data-table]")].filter((e) => e.checkVisibility()).
		map((e) => e.dataset.table).join(" ")`
	const found = `document.querySelector("nav [role=status]").textContent`
	type result struct{ text, list, found, first string }
	results := map[int]result{
		5:                  {"OTP", "otp_stripes otps", "2 tables, 1 column", "otp_stripes"},
		16:                 {"rating", "reviews", "1 table, 1 column", "reviews"},
		schemadoctest.Most: {"session", "sessions", "1 table", "sessions"},
	}
	eachSize(b, func(tables int) {
		want := results[tables]
		b.visit("")
		b.eval(live, true)
		slash(b)
		b.eval(`document.activeElement.type`, "search")
		b.press(want.text)
		b.eval(listed, want.list)
		b.eval(found, want.found)
		b.picture(fmt.Sprint("found", tables))
		b.press(kb.Enter)
		b.eval(`location.hash`, "#"+want.first)
		b.eval(shown, want.first)
		b.eval(`document.activeElement.textContent`, want.first)
		b.eval(scale+` >= 60 || `+cut+` === 0`, true) // the columns can be read
		b.eval(`(() => {
			const f = document.querySelector(".frame").getBoundingClientRect();
			const c = document.querySelector(".entity[aria-current]").getBoundingClientRect();
			return c.left >= f.left && c.right <= f.right && c.top >= f.top;
		})()`, true)
		b.picture(fmt.Sprint("picked", tables))
	})
	b.page = shopPage(t, schemadoctest.Most)
	b.visit("")
	b.eval(live, true)
	slash(b)
	b.press("rating")
	b.press(kb.Enter)
	b.eval(`document.activeElement.textContent`, "reviews")
	b.eval(`document.querySelector("#reviews tr.hit").innerText.split("\t")[0].trim()`, "rating")
	slash(b)
	b.press("no such thing")
	b.eval(found, "Nothing has that in its name.")
	b.press(kb.Escape)
	b.eval(listed+`.split(" ").length`, float64(schemadoctest.Most))
	b.eval(shown, "reviews")
	b.press(kb.Escape)
	b.eval(cut, 0.0)
	assert.Empty(t, b.complaints())
}

func pageOfAnySizeFitsAPhone(t *testing.T, b *browser) {
	b.do(chromedp.EmulateViewport(375, 812, chromedp.EmulateMobile, chromedp.EmulateTouch))
	eachSize(b, func(tables int) {
		b.visit("")
		b.eval(`innerWidth`, 375.0)
		b.eval(cut, 0.0)
		b.eval(`document.querySelectorAll("details").forEach((d) => { d.open = true; }),
			document.documentElement.scrollWidth <= innerWidth`, true)
		b.eval(wide, "")
		b.picture(fmt.Sprint("phone", tables))

		whole := evaluate[float64](b, scale)
		at := evaluate[[]float64](b, middle)
		touch := func(kind input.DispatchTouchEventType, from ...[2]float64) {
			var points []*input.TouchPoint
			for i, p := range from {
				points = append(points, &input.TouchPoint{X: at[0] + p[0], Y: at[1] + p[1], ID: new(float64(i))})
			}
			call(b, input.DispatchTouchEvent, input.DispatchTouchEventParams{Type: kind, TouchPoints: points})
		}
		touch(input.DispatchTouchEventTypeTouchStart, [2]float64{-20}, [2]float64{20})
		touch(input.DispatchTouchEventTypeTouchMove, [2]float64{-40}, [2]float64{40})
		touch(input.DispatchTouchEventTypeTouchMove, [2]float64{-60}, [2]float64{60})
		touch(input.DispatchTouchEventTypeTouchEnd)
		b.eval(scale+` > `+fmt.Sprint(whole*1.8), true)
		b.eval(`innerWidth`, 375.0) // the graph is zoomed, not the page
		before := evaluate[string](b, `document.querySelector(".graph").getAttribute("viewBox")`)
		touch(input.DispatchTouchEventTypeTouchStart, [2]float64{})
		for y := -20.0; y > -100; y -= 20 {
			touch(input.DispatchTouchEventTypeTouchMove, [2]float64{y / 2, y})
		}
		touch(input.DispatchTouchEventTypeTouchEnd)
		b.eval(`document.querySelector(".graph").getAttribute("viewBox") !== "`+before+`" && scrollY`, 0.0)
		b.eval(`location.hash`, "")

		b.visit("#users")
		b.eval(scale+` >= 60`, true)
		b.eval(wide, "")
	})
	assert.Empty(t, b.complaints())
}

func pageMovesNothingForThoseWhoAskForThat(t *testing.T, b *browser) {
	for value, want := range map[string]string{"reduce": "0s auto", "no-preference": "0.15s smooth"} {
		media := []*emulation.MediaFeature{{Name: "prefers-reduced-motion", Value: value}}
		call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: media})
		b.visit("")
		b.eval(`getComputedStyle(document.querySelector(".entity")).transitionDuration + " " +
			getComputedStyle(document.documentElement).scrollBehavior`, want)
	}
}

func pageNamesItselfAndItsParts(t *testing.T, b *browser) {
	b.visit("")
	b.eval(`/^authgraph · MySQL \d+\.\d+\.\d+$/.test(document.title)`, true)
	b.eval(`document.querySelector("h1").textContent`, "authgraph")
	b.eval(`document.documentElement.lang`, "en")
	b.eval(`[...document.querySelectorAll("a, button, input, output, nav, [role=region], [role=group]")].
		filter((e) => !(e.getAttribute("aria-label") || e.matches("a, button") && e.textContent.trim())).
		map((e) => e.outerHTML.slice(0, 60)).join()`, "")
	b.eval(`(() => {
		const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
		return ids.filter((id, i) => ids.indexOf(id) !== i).join();
	})()`, "")
	b.eval(`[...document.querySelectorAll("h1, h2, h3")].map((e) => Number(e.tagName[1])).
		every((level, i, all) => i === 0 ? level === 1 : level <= all[i - 1] + 1)`, true)
	b.page = shopPage(t, 16)
	b.visit("")
	b.eval(`document.title`, "shop · MySQL 9.7.4")
	b.eval(`document.querySelector(".facts").textContent`, "live database · MySQL 9.7.4 · 16 tables")
}
