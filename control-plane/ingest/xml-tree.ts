// Parses XML into a tree of elements, with the line of each for messages.
import { SaxesParser } from "saxes";

/** An MPD is a handful deep; a deeper one is an attack on recursion. */
const maxDepth = 64;

export interface XmlElement {
  /** Without namespace prefix. */
  name: string;
  attributes: Readonly<Record<string, string>>;
  children: XmlElement[];
  text: string;
  line: number;
}

/** The root element of `text`, or why there is none. Entities that a document defines itself are refused. */
export function parseXml(text: string): XmlElement | { reason: string } {
  const parser = new SaxesParser({ position: true, xmlns: false });
  let root: XmlElement | undefined;
  const open: XmlElement[] = [];
  let reason: string | undefined;
  parser.on("error", (error) => {
    reason ??= error.message;
  });
  parser.on("opentag", ({ name, attributes }) => {
    const element: XmlElement = { name: name.slice(name.indexOf(":") + 1), attributes, children: [], text: "", line: parser.line };
    if (open.length >= maxDepth) reason ??= `more than ${maxDepth} elements inside each other`;
    else open.at(-1)?.children.push(element);
    root ??= element;
    open.push(element);
  });
  parser.on("text", (piece) => {
    const inside = open.at(-1);
    if (inside) inside.text += piece;
  });
  parser.on("closetag", () => open.pop());
  parser.write(text).close();
  if (reason !== undefined || root === undefined) return { reason: reason ?? "there is no element" };
  return root;
}
