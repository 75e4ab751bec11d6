// The dashboard as Grafana shows it, by Grafana's own components: what dashboard.json says, with what Prometheus answered.
// data.json, which record wrote, is beside the bundle that picture.sh makes of this.
import '@fontsource/inter/latin-400.css';
import '@fontsource/inter/latin-500.css';
import 'uplot/dist/uPlot.min.css';
import {
  applyFieldOverrides, createTheme, dateTime, FieldType, getDisplayValueAlignmentFactors, getFieldDisplayValues, ThresholdsMode,
  VizOrientation,
} from '@grafana/data';
import { BigValue, GlobalStyles, measureText, PanelChrome, ThemeContext, TimeSeries, VizLegend, VizRepeater } from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';
import { version } from '@grafana/ui/package.json';
import { useLayoutEffect, useRef } from 'react';
import { createRoot } from 'react-dom/client';
import dashboard from 'dashboard.json';
import data from 'data.json';

const theme = createTheme({ colors: { mode: 'light' } });
const timeZone = 'utc';
const range = { from: dateTime(data.from * 1000), to: dateTime(data.to * 1000) };
range.raw = { from: range.from, to: range.to };

// Grafana's grid: 24 columns, rows of 30 pixels, 8 between.
const margin = 16, width = 1400, gap = 8, row = 30;
const column = (width - 2 * margin - 23 * gap) / 24;
const along = (n, size) => n * size + (n - 1) * gap;

// What a panel has that says nothing else.
const thresholds = { mode: ThresholdsMode.Absolute, steps: [{ value: -Infinity, color: 'green' }] };
const colors = { timeseries: 'palette-classic', stat: 'thresholds', 'state-timeline': 'thresholds', table: 'thresholds' };

// legend fills in a series' labels, as Grafana's data source does.
const legend = (format, labels) => format.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, name) => labels[name] ?? '');

const fields = { fieldConfig: { defaults: {}, overrides: [] }, replaceVariables: (text) => text, theme, timeZone };

// config is that of a panel's fields. Grafana merges it by the editors of its own panels, which are in no library.
const config = (panel, displayNameFromDS) => ({
  color: { mode: colors[panel.type] }, thresholds, ...structuredClone(panel.fieldConfig.defaults), displayNameFromDS,
});

// frames are a panel's answers, a frame for each series, with a row for each step: those without a finite
// sample are gaps.
function frames(panel) {
  const times = [];
  for (let t = data.from; t <= data.to; t += data.step) {
    times.push(t);
  }
  const all = panel.targets.flatMap((target) =>
    data.panels[panel.id][target.refId].map(({ metric, values }) => {
      const at = new Map(values.map(([t, v]) => [t, Number(v)]).filter(([, v]) => Number.isFinite(v)));
      const name = target.legendFormat ? legend(target.legendFormat, metric) : undefined;
      return {
        refId: target.refId,
        length: times.length,
        fields: [
          { name: 'Time', type: FieldType.time, config: {}, values: times.map((t) => t * 1000) },
          { name: 'Value', type: FieldType.number, config: config(panel, name), labels: metric, values: times.map((t) => at.get(t) ?? null) },
        ],
      };
    })
  );
  return applyFieldOverrides({ ...fields, data: all });
}

// table is the answer to an instant query, a row for each series, without the columns that the panel takes out.
function table(panel) {
  const out = Object.assign({}, ...(panel.transformations ?? []).map(({ options }) => options.excludeByName));
  const rows = data.panels[panel.id][panel.targets[0].refId];
  const names = Object.keys(rows[0].metric).sort();
  const columns = [
    { name: 'Time', type: FieldType.time, values: rows.map(({ value }) => value[0] * 1000) },
    ...names.map((name) => ({ name, type: FieldType.string, values: rows.map(({ metric }) => metric[name]) })),
    { name: 'Value', type: FieldType.number, values: rows.map(({ value }) => Number(value[1])) },
  ];
  const shown = columns.filter(({ name }) => !out[name]).map((column) => ({ ...column, config: config(panel) }));
  return applyFieldOverrides({ ...fields, data: [{ length: rows.length, fields: shown }] })[0];
}

function Stat({ panel, width, height }) {
  const values = () =>
    getFieldDisplayValues({ ...fields, data: frames(panel), reduceOptions: panel.options.reduceOptions, sparkline: true });
  const count = values().length;
  return (
    <VizRepeater
      getValues={values} source={data} renderCounter={0} width={width} height={height} itemSpacing={3} autoGrid
      orientation={VizOrientation.Auto} getAlignmentFactors={getDisplayValueAlignmentFactors}
      renderValue={({ value, width, height, alignmentFactors }) => (
        <BigValue
          value={value.display} sparkline={value.sparkline && { ...value.sparkline, timeRange: range }} count={count} theme={theme}
          width={width} height={height} alignmentFactors={alignmentFactors} textMode="auto" {...panel.options}
        />
      )}
    />
  );
}

function Lines({ panel, width, height }) {
  return (
    <TimeSeries
      frames={frames(panel)} timeRange={range} timeZone={timeZone} width={width} height={height} options={panel.options}
      legend={{ showLegend: true, calcs: [], ...panel.options.legend }}
    />
  );
}

// Timeline is not Grafana's, whose own is in no library: a bar for each series, coloured as the mappings of its values say.
function Timeline({ panel, width, height }) {
  const series = frames(panel);
  const names = series.map((frame) => frame.fields[1].config.displayNameFromDS);
  const left = 8 + Math.max(...names.map((name) => measureText(name, 12).width));
  const bottom = 48, tall = (height - bottom) / series.length, second = (width - left) / (data.to - data.from);
  const x = (ms) => left + (ms / 1000 - data.from) * second;
  const ticks = [0.5, 1.5, 2.5, 3.5, 4.5].map((n) => range.from.valueOf() + n * (data.to - data.from) * 200);
  const items = Object.values(panel.fieldConfig.defaults.mappings[0].options)
    .sort((a, b) => a.index - b.index)
    .map(({ text, color }) => ({ label: text, color: theme.visualization.getColorByName(color), yAxis: 1 }));
  return (
    <>
      <svg width={width} height={height - bottom + 20} fontSize="12" fill={theme.colors.text.primary}>
        {series.map(({ fields: [time, value] }, i) => (
          <g key={i}>
            <text x={left - 8} y={(i + 0.5) * tall} textAnchor="end" dominantBaseline="middle">{names[i]}</text>
            {value.values.slice(0, -1).map((v, j) => v !== null && (
              <rect key={j} x={x(time.values[j])} y={(i + 0.05) * tall} width={data.step * second} height={0.9 * tall}
                fill={value.display(v).color} opacity="0.7" shapeRendering="crispEdges" />
            ))}
          </g>
        ))}
        {ticks.map((t) => <text key={t} x={x(t)} y={height - bottom + 14} textAnchor="middle">{dateTime(t).utc().format('HH:mm:ss')}</text>)}
      </svg>
      <VizLegend items={items} displayMode="list" placement="bottom" />
    </>
  );
}

function Rows({ panel, width, height }) {
  return <TableNG data={table(panel)} width={width} height={height} noHeader={!panel.options.showHeader} enableVirtualization={false} />;
}

const kinds = { stat: Stat, timeseries: Lines, 'state-timeline': Timeline, table: Rows };

function Panel({ panel }) {
  const { x, y, w, h } = panel.gridPos;
  const place = { position: 'absolute', left: margin + x * (column + gap), top: y * (row + gap), width: along(w, column), height: along(h, row) };
  if (panel.type === 'row') {
    return <div style={{ ...place, ...theme.typography.h6, lineHeight: `${row}px` }}>{panel.title}</div>;
  }
  const Kind = kinds[panel.type]; // undefined, and so an error, if the dashboard has a kind that is not here
  const empty = panel.targets.every((target) => data.panels[panel.id][target.refId].length === 0);
  return (
    <div style={place}>
      <PanelChrome title={panel.title} description={panel.description} width={place.width} height={place.height}>
        {(width, height) =>
          empty ? <div style={{ lineHeight: `${height}px`, textAlign: 'center' }}>No data</div> : <Kind panel={panel} width={width} height={height} />
        }
      </PanelChrome>
    </div>
  );
}

function Page() {
  const page = useRef();
  useLayoutEffect(() => { document.documentElement.dataset.height = page.current.offsetHeight; });
  return (
    <div ref={page} style={{ background: theme.colors.background.canvas, width }}>
      <div style={{ ...theme.typography.h4, padding: `12px ${margin}px`, display: 'flex', justifyContent: 'space-between', alignItems: 'baseline' }}>
        {dashboard.title}
        <span style={theme.typography.bodySmall}>namespace All, service All, {clock(range.from)} to {clock(range.to)} UTC</span>
      </div>
      <div style={{ position: 'relative', height }}>{dashboard.panels.map((panel) => <Panel key={panel.id} panel={panel} />)}</div>
      <div style={{ ...theme.typography.bodySmall, color: theme.colors.text.secondary, padding: `4px ${margin}px 12px` }}>
        Not a screenshot of Grafana: drawn by its components, @grafana/ui {version}, but for the panel of what is asleep, from dashboard.json
        and the answers of {data.source}.
      </div>
    </div>
  );
}

const height = Math.max(...dashboard.panels.map(({ gridPos }) => gridPos.y + gridPos.h)) * (row + gap);
const clock = (time) => time.utc().format('YYYY-MM-DD HH:mm:ss');
createRoot(document.getElementById('root')).render(
  <ThemeContext.Provider value={theme}>
    <GlobalStyles />
    <Page />
  </ThemeContext.Provider>
);
