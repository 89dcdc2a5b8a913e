import '@glideapps/glide-data-grid/dist/index.css'
import {
  DataEditor,
  GridCellKind,
  type CellArray,
  type DrawCellCallback,
  type GridCell,
  type GridColumn,
  type GridMouseEventArgs,
  type GridSelection,
  type Item,
  type Rectangle,
  type Theme,
  CompactSelection,
} from '@glideapps/glide-data-grid'
import { useCallback, useEffect, useMemo, useRef, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useTheme } from '@/app/theme'
import type { ColumnInfo, ResultSnapshot, ResultView } from '@/lib/editor-messages.gen'
import type { EditorStore } from './store'
import { RowPages } from './row-pages'

const RIGHT = new Set(['integer', 'decimal', 'float'])

/** Canvas colours, read from the page's own tokens. */
function gridTheme(): { theme: Partial<Theme>; mask: string; maskHatch: string; nothing: string } {
  const style = getComputedStyle(document.documentElement)
  const token = (name: string) => style.getPropertyValue(name).trim()
  return {
    theme: {
      accentColor: token('--accent'),
      accentFg: token('--on-accent'),
      accentLight: token('--bg-selected'),
      textDark: token('--fg'),
      textMedium: token('--fg-2'),
      textLight: token('--fg-3'),
      textHeader: token('--fg-2'),
      textHeaderSelected: token('--on-accent'),
      bgCell: token('--bg'),
      bgCellMedium: token('--bg-sunken'),
      bgHeader: token('--bg-sunken'),
      bgHeaderHasFocus: token('--bg-active'),
      bgHeaderHovered: token('--bg-hover'),
      borderColor: token('--line'),
      horizontalBorderColor: token('--line'),
      drilldownBorder: token('--line'),
      linkColor: token('--accent-fg'),
      cellHorizontalPadding: 8,
      cellVerticalPadding: 3,
      headerFontStyle: '600 12px',
      baseFontStyle: '12px',
      fontFamily: token('--font-mono'),
      lineHeight: 1.5,
    },
    mask: token('--mask-fg'),
    maskHatch: token('--mask-bg'),
    nothing: token('--fg-off'),
  }
}

export interface CellPlace {
  row: number
  column: number
}

function columnWidth(column: ColumnInfo): number {
  const base = { integer: 96, boolean: 84, uuid: 280, timestamp: 176, timestamptz: 208, date: 108, json: 260, text: 180 }[column.kind] ?? 140
  return Math.max(base, column.name.length * 8 + 44)
}

/** A virtual grid over the pages of a stored result. */
export function ResultGrid({
  store,
  result,
  view,
  onView,
  onCell,
  onOpenCell,
  onTotal,
}: {
  store: EditorStore
  result: ResultSnapshot
  view: ResultView
  onView: (view: ResultView) => void
  onCell: (place: CellPlace | null) => void
  onOpenCell: (place: CellPlace) => void
  /** Rows that the view keeps; null: all. */
  onTotal: (rows: number | null) => void
}) {
  const { t } = useTranslation()
  const themeName = useTheme()
  const colours = useMemo(() => {
    // Read again whenever the theme changes.
    void themeName
    return gridTheme()
  }, [themeName])
  const [version, redraw] = useState(0)
  const [widths, setWidths] = useState<Record<number, number>>({})
  const [selection, setSelection] = useState<GridSelection>({ columns: CompactSelection.empty(), rows: CompactSelection.empty() })
  const [tip, setTip] = useState<{ text: string; bounds: Rectangle } | null>(null)
  const plain = view.sort.length === 0 && view.filters.length === 0 && view.search === ''
  const pages = useMemo(() => new RowPages(store, result.result_id, view, () => redraw((old) => old + 1)), [store, result.result_id, view])
  useEffect(() => () => pages.dispose(), [pages])
  const grown = result.rows
  useEffect(() => {
    if (!plain || !result.complete) pages.grew(grown)
  }, [pages, grown, plain, result.complete])
  useEffect(() => {
    void pages.ensure(0, 60)
  }, [pages])
  const total = plain ? result.rows : (pages.total ?? 0)
  useEffect(() => {
    onTotal(plain ? null : pages.total)
  }, [onTotal, plain, pages, pages.total])

  const columns = useMemo<GridColumn[]>(
    () =>
      result.columns.map((column, index) => {
        const sort = view.sort.find((item) => item.column === index)
        const arrow = sort ? (sort.descending ? ' ↓' : ' ↑') : ''
        const filtered = view.filters.some((item) => item.column === index) ? ' ⚑' : ''
        return {
          id: String(index),
          title: `${column.name}${arrow}${filtered}`,
          width: widths[index] ?? columnWidth(column),
          hasMenu: false,
          style: sort ? 'highlight' : 'normal',
          ...(column.masked_by.length > 0 ? { themeOverride: { textHeader: colours.mask } } : {}),
        }
      }),
    [result.columns, view, widths, colours],
  )

  const getCell = useCallback(
    ([column, row]: Item): GridCell => {
      const value = pages.cell(row, column)
      const info = result.columns[column]
      if (value === undefined) return { kind: GridCellKind.Loading, allowOverlay: false, skeletonWidth: 60 }
      const shown = value === null ? 'NULL' : value.length > 300 ? `${value.slice(0, 300)}…` : value
      return {
        kind: GridCellKind.Text,
        data: value ?? '',
        displayData: shown.replace(/[\r\n]+/g, ' ⏎ '),
        allowOverlay: false,
        copyData: value ?? '',
        contentAlign: info && RIGHT.has(info.kind) && info.masked_by.length === 0 ? 'right' : 'left',
        ...(value === null
          ? { themeOverride: { textDark: colours.nothing } }
          : info && info.masked_by.length > 0
            ? { themeOverride: { textDark: colours.mask, bgCell: colours.maskHatch } }
            : {}),
      }
    },
    // A page that arrives changes what the cells say.
    // eslint-disable-next-line react-hooks/exhaustive-deps
    [pages, version, result.columns, colours],
  )

  const drawCell = useCallback<DrawCellCallback>(
    (args, drawContent) => {
      // Values are shown as they are: no `≤` for `<=`, no joined stars.
      args.ctx.textRendering = 'optimizeSpeed'
      drawContent()
      const info = result.columns[args.col]
      if (!info || info.masked_by.length === 0 || typeof pages.cell(args.row, args.col) !== 'string') return
      const { ctx, rect } = args
      const x = rect.x + rect.width - 19
      const y = rect.y + rect.height / 2
      ctx.save()
      ctx.fillStyle = colours.maskHatch
      ctx.fillRect(x - 4, rect.y + 1, 22, rect.height - 2)
      ctx.strokeStyle = colours.mask
      ctx.lineWidth = 1.3
      ctx.lineCap = 'round'
      ctx.beginPath()
      ctx.moveTo(x, y)
      ctx.quadraticCurveTo(x + 6, y - 7, x + 12, y)
      ctx.quadraticCurveTo(x + 6, y + 7, x, y)
      ctx.moveTo(x + 1, y + 5)
      ctx.lineTo(x + 11, y - 5)
      ctx.stroke()
      ctx.restore()
    },
    [result.columns, pages, colours],
  )

  const copyCells = useCallback(
    (area: Rectangle): (() => Promise<CellArray>) =>
      async () => {
        await pages.ensure(area.y, area.y + area.height)
        return Array.from({ length: area.height }, (_, row) =>
          Array.from({ length: area.width }, (_ignored, column) => getCell([area.x + column, area.y + row])),
        )
      },
    [pages, getCell],
  )

  const onHover = (event: GridMouseEventArgs) => {
    if (event.kind !== 'cell' && event.kind !== 'header') {
      setTip(null)
      return
    }
    const info = result.columns[event.location[0]]
    if (!info) return
    const rules = info.masked_by.map((rule) => (rule.code ? `${rule.name} (${rule.code})` : rule.name)).join(', ')
    const lines = [
      event.kind === 'header' ? `${info.name} · ${info.type_name}` : '',
      rules ? t('grid.maskedBy', { rules }) : '',
      rules && info.sources.length > 0 ? info.sources.join(', ') : '',
    ].filter(Boolean)
    setTip(lines.length > 0 ? { text: lines.join('\n'), bounds: event.bounds } : null)
  }

  const sortBy = (column: number) => {
    const old = view.sort[0]
    const sort =
      old?.column !== column ? [{ column, descending: false }] : old.descending ? [] : [{ column, descending: true }]
    onView({ ...view, sort })
  }

  const box = useRef<HTMLDivElement>(null)
  return (
    <div className="qk-grid" ref={box}>
      <DataEditor
        width="100%"
        height="100%"
        columns={columns}
        rows={total}
        getCellContent={getCell}
        drawCell={drawCell}
        theme={colours.theme}
        rowHeight={28}
        headerHeight={30}
        rowMarkers={{ kind: 'number', width: Math.max(44, String(total).length * 8 + 24) }}
        smoothScrollX
        smoothScrollY
        getCellsForSelection={copyCells}
        copyHeaders={false}
        keybindings={{ search: false, copy: true, downFill: false, rightFill: false }}
        gridSelection={selection}
        onGridSelectionChange={(next) => {
          setSelection(next)
          onCell(next.current ? { column: next.current.cell[0], row: next.current.cell[1] } : null)
        }}
        onVisibleRegionChanged={(region) => void pages.ensure(region.y, region.y + region.height)}
        onHeaderClicked={sortBy}
        onCellActivated={([column, row]) => onOpenCell({ row, column })}
        onColumnResize={(column, width) => setWidths((old) => ({ ...old, [Number(column.id)]: width }))}
        onItemHovered={onHover}
      />
      {tip && box.current ? (
        <div
          className="qk-grid-tip"
          role="tooltip"
          style={{
            left: Math.max(4, tip.bounds.x - box.current.getBoundingClientRect().left),
            top: tip.bounds.y + tip.bounds.height + 4 - box.current.getBoundingClientRect().top,
          }}
        >
          {tip.text}
        </div>
      ) : null}
    </div>
  )
}
