import { BarChart } from 'echarts/charts'
import { GridComponent, LegendComponent, TooltipComponent } from 'echarts/components'
import { init, use as registerParts } from 'echarts/core'
import { CanvasRenderer } from 'echarts/renderers'
import { useEffect, useRef } from 'react'
import { useTranslation } from 'react-i18next'
import type { Verdict } from '@/api/types'
import { useTheme } from '@/app/theme'
import type { Summary } from '.'

registerParts([BarChart, GridComponent, LegendComponent, TooltipComponent, CanvasRenderer])

const SERIES: [Verdict, string][] = [
  ['allowed', '--ok-solid'],
  ['masked', '--mask-solid'],
  ['denied', '--deny-solid'],
  ['needs_approval', '--wait-solid'],
  ['needs_reason', '--info-solid'],
]

interface HourRow {
  at: Date
  counts: Record<string, number>
}

/** Every hour of the span, also those in which nothing ran. */
export function everyHour(summary: Summary): HourRow[] {
  const known = new Map(summary.hours.map((row) => [new Date(row.at).getTime(), row]))
  const step = 3_600_000
  const first = Math.floor(new Date(summary.since).getTime() / step) * step
  const last = new Date(summary.until).getTime()
  const rows: HourRow[] = []
  for (let at = first; at <= last; at += step) {
    const row = known.get(at)
    rows.push({ at: new Date(at), counts: Object.fromEntries(SERIES.map(([verdict]) => [verdict, row?.[verdict] ?? 0])) })
  }
  return rows
}

export function VerdictChart({ summary }: { summary: Summary }) {
  const { t } = useTranslation()
  const theme = useTheme()
  const host = useRef<HTMLDivElement>(null)
  const rows = everyHour(summary)
  const used = SERIES.filter(([verdict]) => (summary.by_verdict[verdict] ?? 0) > 0)
  useEffect(() => {
    if (!host.current) return
    const style = getComputedStyle(document.documentElement)
    const token = (name: string) => style.getPropertyValue(name).trim()
    const chart = init(host.current)
    const label = (at: Date) => `${String(at.getHours()).padStart(2, '0')}:00`
    chart.setOption({
      animation: false,
      textStyle: { fontFamily: token('--font-sans'), fontSize: 12 },
      grid: { left: 44, right: 8, top: 32, bottom: 24 },
      legend: { top: 0, left: 0, itemWidth: 10, itemHeight: 10, textStyle: { color: token('--fg-2') } },
      tooltip: {
        trigger: 'axis',
        axisPointer: { type: 'shadow' },
        renderMode: 'richText',
        backgroundColor: token('--tip-bg'),
        borderWidth: 0,
        textStyle: { color: token('--tip-fg') },
      },
      xAxis: {
        type: 'category',
        data: rows.map((row) => label(row.at)),
        axisLabel: { color: token('--fg-3') },
        axisLine: { lineStyle: { color: token('--line-strong') } },
        axisTick: { show: false },
      },
      yAxis: {
        type: 'value',
        minInterval: 1,
        axisLabel: { color: token('--fg-3') },
        splitLine: { lineStyle: { color: token('--line') } },
      },
      series: used.map(([verdict, colour]) => ({
        type: 'bar',
        stack: 'all',
        name: t(`verdict.${verdict}`),
        itemStyle: { color: token(colour) },
        barMaxWidth: 26,
        data: rows.map((row) => row.counts[verdict] ?? 0),
      })),
    })
    const observer = new ResizeObserver(() => chart.resize())
    observer.observe(host.current)
    return () => {
      observer.disconnect()
      chart.dispose()
    }
  })
  return (
    <>
      <div className="qk-chart" ref={host} data-theme-name={theme} role="img" aria-label={t('overview.chart')} />
      <details className="qk-chart-table">
        <summary>{t('overview.asTable')}</summary>
        <table className="qk-table">
          <thead>
            <tr>
              <th scope="col">{t('overview.hour')}</th>
              {used.map(([verdict]) => (
                <th key={verdict} scope="col" className="qk-right">
                  {t(`verdict.${verdict}`)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows
              .filter((row) => used.some(([verdict]) => (row.counts[verdict] ?? 0) > 0))
              .map((row) => (
                <tr key={row.at.toISOString()}>
                  <td className="qk-num">{row.at.toLocaleString()}</td>
                  {used.map(([verdict]) => (
                    <td key={verdict} className="qk-right qk-num">
                      {row.counts[verdict]}
                    </td>
                  ))}
                </tr>
              ))}
          </tbody>
        </table>
      </details>
    </>
  )
}
