// Text that models and tools wrote: never taken for HTML.

import Anser from "anser";
import hljs from "highlight.js/lib/core";
import bash from "highlight.js/lib/languages/bash";
import diff from "highlight.js/lib/languages/diff";
import javascript from "highlight.js/lib/languages/javascript";
import json from "highlight.js/lib/languages/json";
import python from "highlight.js/lib/languages/python";
import sql from "highlight.js/lib/languages/sql";
import typescript from "highlight.js/lib/languages/typescript";
import xml from "highlight.js/lib/languages/xml";
import yaml from "highlight.js/lib/languages/yaml";
import { memo, useMemo, type ReactNode } from "react";
import ReactMarkdown, { type Components } from "react-markdown";
import remarkGfm from "remark-gfm";

const LANGUAGES = { bash, diff, javascript, json, python, sql, typescript, xml, yaml };
for (const [name, language] of Object.entries(LANGUAGES)) hljs.registerLanguage(name, language);

const LONGEST_HIGHLIGHTED = 40_000;

/** Source text in colours; what no language is known for, or is very long, stays plain. */
export const Code = memo(function Code({ text, language }: { text: string; language?: string | undefined }) {
  const html = useMemo(() => {
    if (!language || !hljs.getLanguage(language) || text.length > LONGEST_HIGHLIGHTED) return null;
    // highlight.js escapes what it is given; the result holds no markup but its own spans.
    return hljs.highlight(text, { language, ignoreIllegals: true }).value;
  }, [text, language]);
  return (
    <pre className="code" tabIndex={0}>
      {html === null ? <code>{text}</code> : <code dangerouslySetInnerHTML={{ __html: html }} />}
    </pre>
  );
});

export function Json({ value }: { value: unknown }) {
  return <Code text={JSON.stringify(value, null, 2)} language="json" />;
}

const COMPONENTS: Components = {
  // Links of a model's answer leave this page, and take nothing of it along. Pictures would be fetched unasked.
  a: ({ href, children }) => (
    <a href={href} target="_blank" rel="noopener noreferrer nofollow">
      {children}
    </a>
  ),
  img: ({ alt, src }) => <span className="quiet">[picture: {alt ?? String(src)}]</span>,
  pre: ({ children }) => <>{children}</>,
  code: ({ className, children }) => {
    const language = /language-(\w+)/.exec(className ?? "")?.[1];
    const text = typeof children === "string" ? children : String(children ?? "");
    return language !== undefined || text.includes("\n") ? (
      <Code text={text.replace(/\n$/, "")} language={language} />
    ) : (
      <code>{children}</code>
    );
  },
};

/** Markdown, its paragraphs rendered each by itself: while an answer streams, only the last one is done again. */
export const Markdown = memo(function Markdown({ text }: { text: string }) {
  const blocks = useMemo(() => blocksOf(text), [text]);
  return (
    <div className="markdown">
      {blocks.map((block, index) => (
        <Block key={index} text={block} />
      ))}
    </div>
  );
});

const Block = memo(function Block({ text }: { text: string }) {
  return (
    <ReactMarkdown remarkPlugins={[remarkGfm]} components={COMPONENTS}>
      {text}
    </ReactMarkdown>
  );
});

/** Cut at blank lines outside of fences and lists. */
function blocksOf(text: string): string[] {
  const blocks: string[] = [];
  let block: string[] = [];
  let isFenced = false;
  for (const line of text.split("\n")) {
    if (/^\s*(```|~~~)/.test(line)) isFenced = !isFenced;
    const isCut = !isFenced && block.at(-1)?.trim() === "" && /^[^\s\-*+\d|>]/.test(line);
    if (isCut) {
      blocks.push(block.join("\n"));
      block = [];
    }
    block.push(line);
  }
  blocks.push(block.join("\n"));
  return blocks;
}

/** Terminal output: colours and weights as spans, everything else that a terminal would obey left out. */
export function ansi(text: string): ReactNode {
  if (!text.includes("\u001b")) return text;
  return Anser.ansiToJson(text, { use_classes: true, remove_empty: true, json: true }).map((part, index) => {
    const classes = [part.fg, part.bg && `on-${part.bg}`, ...part.decorations].filter(Boolean);
    return (
      <span key={index} className={classes.join(" ")}>
        {part.content}
      </span>
    );
  });
}

const SHOWN_AT_ONCE = 20_000;

/** The end of a long output is what matters while it comes. */
export const Terminal = memo(function Terminal({ text, isWhole = false }: { text: string; isWhole?: boolean }) {
  const cut = !isWhole && text.length > SHOWN_AT_ONCE;
  return (
    <pre className="terminal" tabIndex={0}>
      {cut && <span className="quiet">… the last {SHOWN_AT_ONCE.toLocaleString("en-US")} characters …{"\n"}</span>}
      {ansi(cut ? text.slice(-SHOWN_AT_ONCE) : text)}
    </pre>
  );
});
