// Makes elements. All text goes in as text nodes, so nothing that a server sends is ever read as markup.

export interface ElementProperties {
  readonly class?: string;
  /** Attributes by name. Event handlers and styles do not belong here: the pages' content security policy refuses them. */
  readonly attributes?: Readonly<Record<string, string>>;
}

export function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  properties: ElementProperties = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag);
  if (properties.class) made.className = properties.class;
  for (const [name, value] of Object.entries(properties.attributes ?? {})) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** The element that the page's own HTML must have; a missing one is a programmer's mistake. */
export function pageElement<Kind extends Element>(id: string, kind: new () => Kind): Kind {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`The page has no ${kind.name} "${id}"`);
  return found;
}

/** Sets text only when it differs, so that a selection and a screen reader's place outlive an update. */
export function setText(target: Node, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}
