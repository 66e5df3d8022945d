import { Empty, Page } from "../parts/basics";

/** In place of a page that tells of one machine. */
export default function OfOneMachine({ title }: { title: string }) {
  return (
    <Page title={title}>
      <Empty title={`${title} is told of by each machine itself`}>
        A control plane knows its workers, and not what else is on their machines; of several control planes at one address,
        each would tell of another. On the machine that is meant, this opens its own pages:
        <pre>kubiya ui</pre>
      </Empty>
    </Page>
  );
}
